"""The segments of a domain as they are stored: each with an id for ever, and the generation of its membership. All pure.

A *generation* is the number, in the domain's sequence, of the change since which a segment has meant what it means: a segment whose own conditions, or
those of a segment it is made of, change gets a new one, and with it bits of its own, which are built while the old ones go on (docs/adr/0019).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from headrace.configuration_model import dotted, shown
from headrace.errors import ConfigurationError, UnsupportedFormatError
from headrace.schema import DomainSchema, StoredProperty
from headrace.segments import Named, Segment, misfits, properties_of

SEGMENTS_FORMAT = 1
THIS_CHANGE = 0
"""The generation of what a change defines anew, before the change has its number."""


@dataclass(frozen=True, slots=True)
class DefinedSegment:
    """`id` is never another segment's, in no time."""

    id: int
    generation: int
    definition: Segment

    @property
    def name(self) -> str:
        return self.definition.name


@dataclass(frozen=True, slots=True)
class SegmentSet:
    """`revision` counts changes from 0. `properties`: all that definitions compare, as the schema had them."""

    revision: int = 0
    next_id: int = 1
    segments: tuple[DefinedSegment, ...] = ()
    properties: tuple[StoredProperty, ...] = ()

    def find(self, name: str) -> DefinedSegment | None:
        return next((one for one in self.segments if one.name == name), None)

    def with_id(self, identity: int) -> DefinedSegment | None:
        return next((one for one in self.segments if one.id == identity), None)

    @property
    def named(self) -> Named:
        return Named({one.name: one.definition for one in self.segments})


@dataclass(frozen=True, slots=True)
class SegmentChange:
    """One line of `apply`'s plan. `told`: only what people read of it changes. `follows`: it is made of a segment that changes."""

    kind: Literal["created", "changed", "told", "follows", "removed"]
    name: str


@dataclass(frozen=True, slots=True)
class Evolution:
    changes: tuple[SegmentChange, ...] = ()
    after: SegmentSet = field(default_factory=SegmentSet)


def evolve(before: SegmentSet, written: Iterable[Segment], removed: Collection[str], schema: DomainSchema) -> Evolution:
    """The domain's segments once `written` are applied and `removed` are gone, and what changes; nothing: the same set.

    For definitions that `validate_segment` finds nothing wrong with. Raises ConfigurationError where a removed segment is one that others are made of,
    and where a property that segments compare is not in the schema, or is of a type that they can't compare.
    """
    wanted = {one.name: one.definition for one in before.segments if one.name not in removed} | {one.name: one for one in written}
    _refuse_missing_sources(wanted, removed)
    stored = {one.name: one for one in before.segments if one.name in wanted}
    next_id = before.next_id
    segments: list[DefinedSegment] = []
    changes = [SegmentChange("removed", one.name) for one in before.segments if one.name not in wanted]
    properties = _compared(wanted.values(), schema)
    numbers: dict[Any, int] = {}
    meant_before = _meanings(before.named.segments, {one.name: one.id for one in before.properties}, numbers)
    meant = _meanings(wanted, {one.name: one.id for one in properties}, numbers)
    for name, definition in wanted.items():
        known = stored.get(name)
        if known is None:
            segments.append(DefinedSegment(next_id, THIS_CHANGE, definition))
            next_id += 1
            changes.append(SegmentChange("created", name))
            continue
        same = meant[name] == meant_before[name]
        segments.append(replace(known, definition=definition, generation=known.generation if same else THIS_CHANGE))
        if not same:
            changes.append(SegmentChange("follows" if definition.logic == known.definition.logic else "changed", name))
        elif definition != known.definition:
            changes.append(SegmentChange("told", name))
    if not changes:
        return Evolution((), before)
    return Evolution(tuple(changes), SegmentSet(before.revision + 1, next_id, tuple(segments), properties))


def _refuse_missing_sources(wanted: Mapping[str, Segment], removed: Collection[str]) -> None:
    problems = [
        f"segment {name} can't be removed: segment {one.name} is made of it; remove that one too, or change it"
        for one in wanted.values()
        for name in sorted(one.sources & set(removed) - wanted.keys())
    ]
    if problems:
        raise ConfigurationError(problems)


def _compared(segments: Collection[Segment], schema: DomainSchema) -> tuple[StoredProperty, ...]:
    users: dict[str, list[str]] = {}
    for one in segments:
        for name in sorted(properties_of(one)):
            users.setdefault(name, []).append(one.name)
    found = {name: schema.find(name) for name in sorted(users)}
    problems = [
        f"property '{shown(name)}' is compared by segment {', '.join(users[name])}, and would not be in the domain; keep it, or change the segment first"
        for name, one in found.items()
        if one is None
    ]
    if problems:
        raise ConfigurationError(problems)
    there = {name: one for name, one in found.items() if one is not None}
    _refuse_other_shapes(segments, there)
    return tuple(there.values())


def _refuse_other_shapes(segments: Iterable[Segment], properties: Mapping[str, StoredProperty]) -> None:
    """A property may have become one of another type, that is compared in other ways, after its segments were written."""
    shapes = {name: one.as_property() for name, one in properties.items()}
    problems = [
        f"segment {one.name}: {dotted(problem.path)}: {problem.message}. The property is, or would be, of another type than when the segment was"
        " written: keep its type, or change or delete the segment first"
        for one in segments
        for problem in misfits(one, shapes)
    ]
    if problems:
        raise ConfigurationError(problems)


def _meanings(segments: Mapping[str, Segment], ids: Mapping[str, int], numbers: dict[Any, int]) -> dict[str, int]:
    """What decides who is in each segment, as a number: of its conditions, the properties they look at, and the same of its sources.

    `numbers`: those given so far; equal meanings have equal ones. To compare the meanings themselves would be to go through every source as often
    as it is named.
    """
    found: dict[str, int] = {}
    for name in Named(segments).in_order():
        one = segments[name]
        looked_at = tuple((each, ids[each]) for each in sorted(properties_of(one)))
        meaning = one.logic, looked_at, tuple((source, found[source]) for source in sorted(one.sources))
        found[name] = numbers.setdefault(meaning, len(numbers))
    return found


def encode_segments(segments: SegmentSet) -> str:
    """Canonical JSON: equal sets give equal texts."""
    content = {
        "format": SEGMENTS_FORMAT,
        "revision": segments.revision,
        "next_id": segments.next_id,
        "properties": [asdict(one) for one in segments.properties],
        "segments": [
            {"id": one.id, "generation": one.generation, "definition": one.definition.model_dump(mode="json")} for one in segments.segments
        ],
    }
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def decode_segments(text: str, import_seq: int) -> SegmentSet:
    """`import_seq`: of the change that the text was registered with. Raises UnsupportedFormatError for a format that a newer release wrote."""
    content = json.loads(text)
    if content["format"] > SEGMENTS_FORMAT:
        raise UnsupportedFormatError(
            f"the domain's segments have format {content['format']}, this release reads up to {SEGMENTS_FORMAT}.", hint="Upgrade Headrace."
        )
    segments = (
        DefinedSegment(one["id"], one["generation"] or import_seq, Segment.model_validate(one["definition"])) for one in content["segments"]
    )
    properties = (StoredProperty(**one) for one in content["properties"])
    return SegmentSet(content["revision"], content["next_id"], tuple(segments), tuple(properties))
