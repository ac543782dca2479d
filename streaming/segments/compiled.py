"""Segment definitions as operations on whole columns. They give what `headrace.segment_evaluation` gives, profile by profile; a property test compares.

Columns are as `profile_store.records.decode_records` gives them: by property id, in stored form, null for no value. Dates and date-times are compared as
the texts that they are, since their order is the texts' order; numbers as decimals; what must be equal, as texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.cells import FRACTION_DIGITS
from headrace.schema import StoredProperty
from headrace.segment_set import SegmentSet
from headrace.segment_values import NEGATIVE, Comparison, canonical, read_bounds
from headrace.segments import Combine, Segment
from profile_store.records import ESCAPE, ITEM, has_control_characters
from profile_store.records import stored as stored_form
from streaming.merge.vectors import Mask, bools

_NUMBER = pa.decimal128(38, FRACTION_DIGITS)
_SMALL, _SMALL_DIGITS = pa.decimal128(18, 4), 4
"""Most numbers fit here, where Arrow is faster."""


@dataclass(frozen=True, slots=True)
class Predicate:
    """One dimension, ready: equal ones are evaluated once, however many segments have them. `negated`: it holds where the comparison does not."""

    property_id: int
    comparison: Comparison
    values: tuple[str, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class CompiledGroup:
    predicates: tuple[Predicate, ...]
    combine: Combine
    sources: tuple[Conditions, ...]
    source_combine: Combine


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """Of one segment. `properties`: those that its own predicates compare, by id. Two are equal only where they are the same object: to compare
    what they are made of would be to go through every source as often as it is named."""

    groups: tuple[CompiledGroup, ...]
    include: Combine
    properties: Mapping[int, StoredProperty]


@dataclass(frozen=True, slots=True, eq=False)
class CompiledSegment:
    """`conditions`: its own, the last, and those of all that it is made of, sources first. `needs`: the ids of the properties that any of them compare.
    `of_nothing`: whether a profile without any of these properties is a member."""

    conditions: tuple[Conditions, ...]
    needs: frozenset[int]
    of_nothing: bool = False


@dataclass(slots=True)
class Columns:
    """The columns of some profiles, and what was made of them on the way: the definitions of a domain look at the same properties."""

    columns: Mapping[str, Any]
    rows: int
    prepared: dict[tuple[int, str], Any] = field(default_factory=dict)
    masks: dict[Predicate, Mask] = field(default_factory=dict)
    members: dict[Conditions, Mask] = field(default_factory=dict)

    def get(self, property_id: int) -> Any:
        """A schema that has grown since the records were read knows more properties than they do."""
        found = self.columns.get(str(property_id))
        return pa.nulls(self.rows, pa.string()) if found is None else found


def compile_segment(segments: SegmentSet, name: str) -> CompiledSegment:
    """For a set as `evolve` makes it. Raises KeyError for a name that it does not have."""
    properties = {one.name: one for one in segments.properties}
    done: dict[str, Conditions] = {}
    for each, definition in segments.named.closure(name).items():
        done[each] = _compile(definition, done, properties)
    compiled = CompiledSegment(tuple(done.values()), frozenset(one for each in done.values() for one in each.properties))
    return replace(compiled, of_nothing=bool(evaluate(compiled, Columns({}, 1))[0]))


def _compile(definition: Segment, sources: Mapping[str, Conditions], properties: Mapping[str, StoredProperty]) -> Conditions:
    groups, used = [], dict[int, StoredProperty]()
    for group in definition.groups:
        predicates = []
        for one in group.dimensions:
            stored = properties[one.property]
            used[stored.id] = stored
            shape = stored.as_property()
            values = tuple(canonical(shape, one.comparison, text) for text in one.values)
            comparison = NEGATIVE.get(one.comparison, one.comparison)
            predicates.append(Predicate(stored.id, comparison, values, comparison != one.comparison))
        below = tuple(sources[source] for source in group.source_segments)
        groups.append(CompiledGroup(tuple(predicates), group.type, below, group.source_type))
    return Conditions(tuple(groups), definition.include, used)


def evaluate(segment: CompiledSegment, columns: Columns) -> Mask:
    """For each profile whether it is a member. Each segment that it is made of is evaluated once, however often it is named; not to be written to."""
    for one in segment.conditions:
        if one not in columns.members:
            columns.members[one] = _combined(one.include, (_group(group, columns, one.properties) for group in one.groups), columns.rows)
    return columns.members[segment.conditions[-1]]


def _group(group: CompiledGroup, columns: Columns, shapes: Mapping[int, StoredProperty]) -> Mask:
    """`columns` knows the members of its sources."""
    found = np.ones(columns.rows, bool)
    if group.predicates:
        found = _combined(group.combine, (_holds(one, columns, shapes[one.property_id]) for one in group.predicates), columns.rows)
    if group.sources:
        found = found & _combined(group.source_combine, (columns.members[source] for source in group.sources), columns.rows)
    return found


def _combined(combine: Combine, masks: Iterable[Mask], rows: int) -> Mask:
    if combine == "all":
        found = np.ones(rows, bool)
        for one in masks:
            found &= one
        return found
    found = np.zeros(rows, bool)
    for one in masks:
        found |= one
    return ~found if combine == "none" else found


def _holds(one: Predicate, columns: Columns, stored: StoredProperty) -> Mask:
    known = columns.masks.get(one)
    if known is None:
        found = _list_holds(one, columns, stored) if stored.multiple else _mask(one, columns, stored, "")
        known = columns.masks[one] = ~found if one.negated else found
    return known


def _list_holds(one: Predicate, columns: Columns, stored: StoredProperty) -> Mask:
    """A list satisfies a comparison when one of its values does."""
    parents = _prepare(columns, stored, "parents")
    if one.comparison == "list_contains_all":
        found = np.ones(columns.rows, bool)
        for value in one.values:
            found &= _any_of(
                parents, _mask(Predicate(one.property_id, "list_contains", (value,), False), columns, stored, "items"), columns.rows
            )
        return found
    return _any_of(parents, _mask(one, columns, stored, "items"), columns.rows)


def _any_of(parents: Any, hits: Mask, rows: int) -> Mask:
    found = np.zeros(rows, bool)
    found[parents[hits]] = True
    return found


def _mask(one: Predicate, columns: Columns, stored: StoredProperty, items: str) -> Mask:
    """Of each value: of the profile's one, or with `items` of all items of all lists."""
    if one.comparison in ("inclusive", "list_contains", "equal", "on"):
        return _equal(one, columns, stored, items)
    if one.comparison in _INSIDE:
        return _any_value(_INSIDE[one.comparison], _prepare(columns, stored, f"{items}plain"), one.values)
    if one.comparison == "begins_with":
        return _any_value(pc.starts_with, _prepare(columns, stored, f"{items}texts"), map(stored_form, one.values))
    return _ordered(one, columns, stored, items)


_INSIDE: dict[Comparison, Callable[[Any, str], Any]] = {"contains": pc.match_substring, "ends_with": pc.ends_with}
"""What is found in the middle of a text may be half an escape in stored form; what is equal, or begins alike, is so in stored form too."""


def _any_value(matches: Callable[[Any, str], Any], texts: Any, values: Iterable[str]) -> Mask:
    found = np.zeros(len(texts), bool)
    for value in values:
        found |= bools(matches(texts, value))
    return found


def _equal(one: Predicate, columns: Columns, stored: StoredProperty, items: str) -> Mask:
    texts = _prepare(columns, stored, f"{items}texts")
    days = [value for value in one.values if stored.type == "datetime" and "T" not in value]
    others = [stored_form(value) for value in one.values if value not in days]
    found = bools(pc.is_in(texts, pa.array(others, pa.string()))) if len(others) > 1 else np.zeros(len(texts), bool)
    if len(others) == 1:
        found = bools(pc.equal(texts, others[0]))
    for day in days:
        found |= bools(pc.starts_with(texts, f"{day}T"))
    return found


def _ordered(one: Predicate, columns: Columns, stored: StoredProperty, items: str) -> Mask:
    low, high = read_bounds(stored.type, one.values[0])[0], read_bounds(stored.type, one.values[-1])[1]
    if stored.type == "number":
        values, first, last = _numbers(columns, stored, items, low, high)
    else:
        values, first, last = _prepare(columns, stored, f"{items}moments"), _moment_text(low), _moment_text(high)
    match one.comparison:
        case "between":
            return bools(pc.greater_equal(values, first)) & bools(pc.less_equal(values, last))
        case "before" | "less_than":
            return bools(pc.less(values, first))
        case "after" | "greater_than":
            return bools(pc.greater(values, last))
        case "less_than_or_equal":
            return bools(pc.less_equal(values, last))
        case "greater_than_or_equal":
            return bools(pc.greater_equal(values, first))
    raise ValueError(f"no such comparison: {one.comparison}")


def _moment_text(bound: Any) -> str:
    """As `moments` are prepared: without the Z, so that a fraction comes after the whole second."""
    return str(bound.isoformat())


def _numbers(columns: Columns, stored: StoredProperty, items: str, low: Any, high: Any) -> tuple[Any, Any, Any]:
    """The column and the two bounds, in the smaller type where all fit."""
    small = _prepare(columns, stored, f"{items}small")
    kind = _SMALL if small is not None and all(_fits(one) for one in (low, high)) else _NUMBER
    values = small if kind is _SMALL else _prepare(columns, stored, f"{items}numbers")
    return values, pa.scalar(low, kind), pa.scalar(high, kind)


def _fits(number: Decimal) -> bool:
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and -exponent <= _SMALL_DIGITS and abs(number) < 10**13


def _prepare(columns: Columns, stored: StoredProperty, what: str) -> Any:
    key = stored.id, what
    if key not in columns.prepared:
        columns.prepared[key] = _PREPARE[what](columns, stored)
    return columns.prepared[key]


def _lists(columns: Columns, stored: StoredProperty) -> Any:
    return pc.split_pattern(columns.get(stored.id), ITEM)


def _plain(texts: Any) -> Any:
    """Without the escapes of stored form."""
    if not has_control_characters(texts):
        return texts
    for code, character in (
        ("1", ITEM),
        ("2", "\x1f"),
        ("3", "\n"),
        ("4", "\r"),
        ("0", ESCAPE),
    ):  # the escape itself last: it makes new ones
        texts = pc.replace_substring(texts, ESCAPE + code, character)
    return texts


def _moments(texts: Any) -> Any:
    return pc.ascii_rtrim(texts, "Z")


def _small(texts: Any) -> Any:
    try:
        return texts.cast(_SMALL)
    except pa.ArrowInvalid:
        return None


def _parents(columns: Columns, stored: StoredProperty) -> Any:
    return pc.list_parent_indices(_prepare(columns, stored, "lists")).to_numpy(zero_copy_only=False).astype(np.int64)


_PREPARE: dict[str, Callable[[Columns, StoredProperty], Any]] = {
    "lists": _lists,
    "parents": _parents,
    "texts": lambda columns, stored: columns.get(stored.id),
    "itemstexts": lambda columns, stored: _prepare(columns, stored, "lists").flatten(),
    "plain": lambda columns, stored: _plain(_prepare(columns, stored, "texts")),
    "itemsplain": lambda columns, stored: _plain(_prepare(columns, stored, "itemstexts")),
    "moments": lambda columns, stored: _moments(_prepare(columns, stored, "texts")),
    "itemsmoments": lambda columns, stored: _moments(_prepare(columns, stored, "itemstexts")),
    "numbers": lambda columns, stored: _prepare(columns, stored, "texts").cast(_NUMBER),
    "itemsnumbers": lambda columns, stored: _prepare(columns, stored, "itemstexts").cast(_NUMBER),
    "small": lambda columns, stored: _small(_prepare(columns, stored, "texts")),
    "itemssmall": lambda columns, stored: _small(_prepare(columns, stored, "itemstexts")),
}
