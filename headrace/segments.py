"""What a segment file says: which profiles of a domain belong together. SPEC S1–S4, S7.

A file (`segments/<name>.yaml`) and the API's JSON (`headrace.segment_api`) are two spellings of the one model that is here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from headrace.configuration_model import ConfigurationModel, Path, Problem, refuse, shown
from headrace.domains import Domain, Property
from headrace.names import ObjectName, PropertyName, Segments
from headrace.segment_values import COMPARISONS, MOST_TEXT, Comparison, before_or_at, comparisons_of, read_bounds, value_problem

Combine = Literal["all", "any", "none"]

MOST_VALUES = 50
MOST_GROUPS = 100


class Dimension(ConfigurationModel):
    """One comparison of a property. SPEC S3."""

    property: PropertyName = Field(description="whose values are compared; of the domain")
    comparison: Comparison = Field(description="how; which ones a property takes hangs on its type")
    values: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=MOST_TEXT)], ...], Field(min_length=1, max_length=MOST_VALUES)
    ] = Field(description="to compare with, as texts in quotes; one where the comparison has an order, two for between")

    @model_validator(mode="after")
    def _as_many_values_as_it_takes(self) -> Self:
        wanted = COMPARISONS[self.comparison].values
        if wanted is not None and len(self.values) != wanted:
            how_many = "one value" if wanted == 1 else "two values, the lower one first"
            refuse([Problem(("values",), f"{self.comparison} takes {how_many}")])
        return self


class SegmentGroup(ConfigurationModel):
    """Comparisons, and other segments: both sides have to hold where both are there. SPEC S2."""

    dimensions: Annotated[tuple[Dimension, ...], Field(max_length=MOST_VALUES)] = Field(default=(), description="comparisons of properties")
    type: Combine = Field(default="all", description="which of the dimensions have to hold")
    source_segments: Segments = Field(default=(), description="names of segments of the same domain")
    source_type: Combine = Field(default="all", description="in which of the source segments the profile has to be")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.dimensions and not self.source_segments:
            refuse([Problem((), "says nothing; give it dimensions, source_segments, or both")])
        return self


class Segment(ConfigurationModel):
    """A set of profiles that is kept up to date with every change. SPEC S1, B7."""

    version: Literal[1] = Field(description="of the file format: 1")
    kind: Literal["segment"] = Field(description="what the file defines: segment")
    domain: ObjectName = Field(description="whose profiles")
    name: ObjectName = Field(description="how exports, other segments and people call it; unique in its domain")
    display_name: Annotated[str, Field(max_length=255)] = Field(default="", description="a name for people")
    description: Annotated[str, Field(max_length=4000)] = Field(default="", description="for people")
    groups: Annotated[tuple[SegmentGroup, ...], Field(min_length=1, max_length=MOST_GROUPS)] = Field(
        description="conditions; each is a group of comparisons"
    )
    include: Combine = Field(default="all", description="which of the groups have to hold")

    @property
    def sources(self) -> frozenset[str]:
        """The segments that this one is made of, by name."""
        return frozenset(name for group in self.groups for name in group.source_segments)

    @property
    def logic(self) -> tuple[tuple[SegmentGroup, ...], Combine]:
        """What decides who is a member; the rest is for people."""
        return self.groups, self.include


@dataclass(frozen=True, slots=True)
class Named:
    """Segments of one domain by name, those that files bring included."""

    segments: Mapping[str, Segment]

    def closure(self, name: str) -> dict[str, Segment]:
        """The segment and all that it is made of, sources first. For segments that `validate_segment` finds nothing wrong with."""
        found: dict[str, Segment] = {}
        todo = [name]
        while todo:
            one = todo.pop()
            if one not in found:
                found[one] = self.segments[one]
                todo += found[one].sources
        return {one: found[one] for one in Named(found).in_order()}

    def in_order(self) -> list[str]:
        """All names, sources before what is made of them. Raises graphlib.CycleError."""
        return list(
            TopologicalSorter({name: sorted(one.sources & self.segments.keys()) for name, one in self.segments.items()}).static_order()
        )

    def users_of(self, property_name: str) -> list[str]:
        """The segments that compare a property."""
        return sorted(name for name, one in self.segments.items() if property_name in properties_of(one))


def properties_of(segment: Segment) -> frozenset[str]:
    """Those that its own dimensions compare."""
    return frozenset(one.property for group in segment.groups for one in group.dimensions)


def validate_segment(segment: Segment, domains: Mapping[str, Domain], created: Iterable[Property], named: Named) -> list[Problem]:
    """Everything about the segment that does not fit its domain, with the properties that connections create in it, and the domain's segments."""
    domain = domains.get(segment.domain)
    if domain is None:
        known = ", ".join(sorted(name for name in domains if "~" not in name)) or "none"
        return [Problem(("domain",), f"there is no domain '{segment.domain}'; define it first (known: {known})")]
    domain = domain.with_properties(created)
    problems = [one.below(*path) for path, dimension in _each_dimension(segment) for one in _dimension_problems(dimension, domain)]
    for at, group in enumerate(segment.groups):
        for place, name in enumerate(group.source_segments):
            if name not in named.segments:
                known = ", ".join(sorted(named.segments.keys() - {segment.name})) or "none"
                what = f"domain '{domain.name}' has no segment '{name}'; define it first (known: {known})"
                problems.append(Problem(("groups", at, "source_segments", place), what))
    return [*problems, *_cycle_problems(segment, named)]


def _cycle_problems(segment: Segment, named: Named) -> list[Problem]:
    """Told at the source through which the segment comes back to itself."""
    try:
        named.in_order()
    except CycleError as error:
        ring = [str(name) for name in error.args[1]]
        if segment.name not in ring:
            return []
        follows = ring[ring.index(segment.name) - 1] if ring.index(segment.name) else ring[-2]
        for at, group in enumerate(segment.groups):
            for place, name in enumerate(group.source_segments):
                if name == follows:
                    what = f"is made of '{segment.name}' itself ({' ← '.join(ring)}); a segment can't be its own source"
                    return [Problem(("groups", at, "source_segments", place), what)]
    return []


def _dimension_problems(dimension: Dimension, domain: Domain) -> list[Problem]:
    found = domain.find_property(dimension.property)
    if found is None:
        known = ", ".join(one.name for one in domain.properties) or "none"
        return [Problem(("property",), f"domain '{domain.name}' has no property '{shown(dimension.property)}' (known: {known})")]
    return _misfits(dimension, found)


def misfits(segment: Segment, properties: Mapping[str, Property]) -> list[Problem]:
    """What the segment does not do with properties of these shapes; `properties`: all that it compares."""
    return [one.below(*path) for path, dimension in _each_dimension(segment) for one in _misfits(dimension, properties[dimension.property])]


def _misfits(dimension: Dimension, found: Property) -> list[Problem]:
    fitting = comparisons_of(found)
    if dimension.comparison not in fitting:
        what = f"a {'list of ' if found.multiple else ''}{found.type} can't be compared by {dimension.comparison}; use one of {', '.join(fitting)}"
        return [Problem(("comparison",), what)]
    problems = [
        Problem(("values", place), why)
        for place, text in enumerate(dimension.values)
        if (why := value_problem(found, dimension.comparison, text))
    ]
    return problems or _order_problems(dimension, found)


def _each_dimension(segment: Segment) -> Iterator[tuple[Path, Dimension]]:
    for at, group in enumerate(segment.groups):
        for place, dimension in enumerate(group.dimensions):
            yield ("groups", at, "dimensions", place), dimension


def _order_problems(dimension: Dimension, found: Property) -> list[Problem]:
    if COMPARISONS[dimension.comparison].values != 2:
        return []
    (low, _), (_, high) = (read_bounds(found.type, text) for text in dimension.values)
    return [Problem(("values",), "the lower value comes first")] if not before_or_at(low, high) else []
