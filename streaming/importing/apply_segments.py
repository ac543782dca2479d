"""Segments as files say them, made so: planned against the domain as it is to be, changed in their turn (SPEC S1, S7)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from headrace.errors import ConfigurationError
from headrace.schema import DomainSchema
from headrace.segment_set import SegmentChange, evolve
from headrace.segments import Segment
from profile_store import registry, segment_registry, sequence
from profile_store.registration import Registration
from profile_store.store import Store
from streaming.importing.await_turn import await_turn
from streaming.importing.context import ImportContext
from streaming.importing.segment_change import drive_segment_change, register_segment_change


@dataclass(frozen=True, slots=True)
class SegmentLine:
    what: Literal["created", "changed", "removed"]
    text: str


@dataclass(frozen=True, slots=True)
class SegmentsChange:
    """What becomes of one domain's segments."""

    domain: str
    written: tuple[Segment, ...]
    changes: tuple[SegmentChange, ...]

    def lines(self) -> Iterator[SegmentLine]:
        for one in self.changes:
            where = f"segment {self.domain}/{one.name}"
            match one.kind:
                case "created":
                    yield SegmentLine("created", f"{where}: created")
                case "removed":
                    yield SegmentLine("removed", f"{where}: removed")
                case "changed":
                    yield SegmentLine("changed", f"{where}: who is in it; the members stay as they are until they are computed anew")
                case "follows":
                    yield SegmentLine("changed", f"{where}: computed anew, since what it is made of changes")
                case "told":
                    yield SegmentLine("changed", f"{where}: its name for people, or its description")


def plan_segments(store: Store, written: Iterable[Segment], schemas: Mapping[str, DomainSchema]) -> tuple[SegmentsChange, ...]:
    """`schemas`: of all domains, as they are to be.

    Raises ConfigurationError for a property that goes, or gets a type that segments can't compare, while segments compare it.
    """
    by_domain: dict[str, list[Segment]] = {name: [] for name in schemas}
    for one in written:
        by_domain.setdefault(one.domain, []).append(one)
    found, problems = [], list[str]()
    for domain, segments in by_domain.items():
        there = segment_registry.read_segments(store, domain)
        before = there.defined
        if not segments and not before.segments:
            continue
        theirs = {one.name for one in there.each() if one.owner == "api"}
        problems += [
            f"segment {domain}/{one.name}: was made through the API, which owns it; choose another name, or delete it there"
            for one in segments
            if one.name in theirs
        ]
        try:
            changes = evolve(before, segments, (), schemas[domain]).changes
        except ConfigurationError as error:
            problems += [f"domain {domain}: {one}" for one in error.problems]
            continue
        if changes or segments:  # also where nothing changes: who made the last change may have died before its turn
            found.append(SegmentsChange(domain, tuple(segments), changes))
    if problems:
        raise ConfigurationError(problems)
    return tuple(found)


def change_segments(context: ImportContext, domain: str, written: Iterable[Segment], removed: Collection[str]) -> bool:
    """Whether anything changed; when it returns, every commit knows it. Raises ConfigurationError, SegmentsMovedError, TransientError."""
    registration = register_segment_change(context, registry.get_domain(context.store, domain), written, removed)
    last = registration or _last_change(context, domain)
    if last is not None and await_turn(context, last, sequence.fresh_owner()):
        drive_segment_change(context, last)
    return registration is not None


def follow_schema(context: ImportContext, domain: str) -> None:
    """Segments that compare a property which has another id now are defined anew: it was made an identifier by an upload job, say, or whoever changed
    its shape died before the segments. Nothing to do is the usual case. Raises as `change_segments`.
    """
    defined = segment_registry.read_segments(context.store, domain).defined
    if evolve(defined, (), (), registry.get_domain(context.store, domain).schema).changes:
        change_segments(context, domain, (), ())


def _last_change(context: ImportContext, domain: str) -> Registration | None:
    """The change whose driver may have died before its turn."""
    number = segment_registry.read_segments(context.store, domain).import_seq
    return sequence.load_needed(context.store, domain, number) if number else None
