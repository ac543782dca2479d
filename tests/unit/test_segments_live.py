"""An import looks only at definitions that it can make a difference to: a hundred segments of other properties cost nothing (SPEC B7, docs/adr/0019)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from headrace.schema import DomainSchema, StoredProperty
from headrace.segment_set import SegmentSet, evolve
from headrace.segments import Segment
from profile_store.bitmaps import Bitmap
from profile_store.segment_bits import KeptSegment, SegmentBits
from streaming.merge.vectors import Mask
from streaming.segments import live
from streaming.segments.compiled import Columns, CompiledSegment, compile_segment, evaluate
from streaming.segments.live import LiveSegments

NAMES = ("tier", "city", "note")
SCHEMA = DomainSchema(1, tuple(StoredProperty(place, name, "text", False, False) for place, name in enumerate(NAMES)))
TIER, CITY, NOTE = range(3)
THERE = 2
"""Profiles 0 and 1 were there, 2 is new. The bits say that 0 is in each segment, which its values do not: who was evaluated leaves it."""
CHANGED = {
    "number": pa.array(["0", "1", "2"]),
    str(TIER): pa.array(["silver", "gold", None]),
    str(CITY): pa.array(["Oslo", "Rome", None]),
    str(NOTE): pa.array(["a", "b", "c"]),
}


def segment(name: str, used: str, comparison: str, value: str) -> Segment:
    groups = [{"dimensions": [{"property": used, "comparison": comparison, "values": [value]}]}]
    return Segment.model_validate({"version": 1, "kind": "segment", "domain": "d", "name": name, "groups": groups})


DEFINED = evolve(
    SegmentSet(),
    [
        segment("gold", "tier", "inclusive", "gold"),
        segment("roman", "city", "inclusive", "Rome"),
        segment("not-oslo", "city", "exclusive", "Oslo"),
    ],
    (),
    SCHEMA,
).after
GOLD, ROMAN, NOT_OSLO = (compile_segment(DEFINED, name) for name in ("gold", "roman", "not-oslo"))


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[CompiledSegment]:
    """What was evaluated, in order."""
    found: list[CompiledSegment] = []

    def counted(compiled: CompiledSegment, columns: Columns) -> Mask:
        found.append(compiled)
        return evaluate(compiled, columns)

    monkeypatch.setattr(live, "evaluate", counted)
    return found


def of(*compiled: CompiledSegment, whole: bool = True) -> LiveSegments:
    kept = tuple(KeptSegment(place, 1, whole, Bitmap(str(place), np.array([0b1000_0000], np.uint8))) for place in range(len(compiled)))
    return LiveSegments(SegmentBits("word", kept), compiled)


def after(segments: LiveSegments, mapped: set[int], erased: tuple[int, ...] = ()) -> list[int]:
    """The bits of each segment once the change is written."""
    for bitmap, spans in segments.changes(CHANGED, THERE, mapped, erased):
        bitmap.write(spans)
    return [int(one.members.bits[0]) for one in segments.bits.kept]


@pytest.mark.spec("B7")
def test_an_import_that_touches_nothing_compared_evaluates_nothing(evaluated: list[CompiledSegment]) -> None:
    """Who is new is in the segment of those who are not known to be in Oslo, without a look at anything."""
    bits = after(of(GOLD, ROMAN, NOT_OSLO), {NOTE})
    assert evaluated == []
    assert bits == [0b1000_0000, 0b1000_0000, 0b1010_0000]


@pytest.mark.spec("B7")
def test_only_what_compares_a_changed_property_is_evaluated(evaluated: list[CompiledSegment]) -> None:
    bits = after(of(GOLD, ROMAN, NOT_OSLO), {TIER, NOTE})
    assert evaluated == [GOLD]
    assert bits == [0b0100_0000, 0b1000_0000, 0b1010_0000]


@pytest.mark.spec("B7")
def test_a_generation_that_is_built_is_evaluated_whatever_changes(evaluated: list[CompiledSegment]) -> None:
    """Its bits may never have been written."""
    bits = after(of(GOLD, ROMAN, whole=False), {NOTE})
    assert evaluated == [GOLD, ROMAN]
    assert bits == [0b0100_0000, 0b0100_0000]
