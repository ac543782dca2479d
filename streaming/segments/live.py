"""Live membership: what a commit changes in the bits of the segments, with the profiles that it changes (SPEC B7, docs/adr/0019)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from profile_store.bitmaps import Bitmap
from profile_store.segment_bits import BitmapChange, KeptSegment, SegmentBits
from streaming.merge.vectors import Mask, Places
from streaming.segments.compiled import Columns, CompiledSegment, evaluate


@dataclass(frozen=True, slots=True)
class LiveSegments:
    """`compiled`: one for each of `bits.kept`."""

    bits: SegmentBits
    compiled: tuple[CompiledSegment, ...]

    def changes(self, changed: Mapping[str, Any], profiles: int, mapped: Set[int], erased: Iterable[int]) -> tuple[BitmapChange, ...]:
        """`changed`: the columns of the profiles that change, numbered, or none; of those below `profiles`, which were there before, only the
        properties `mapped` can have changed. `erased`: numbers of profiles that go."""
        gone = np.fromiter(erased, np.int64)
        numbers = changed["number"].cast(pa.int64()).to_numpy() if changed else np.zeros(0, np.int64)
        if not len(numbers) and not len(gone):
            return ()
        everybody = np.concatenate((numbers, gone))
        columns, nobody = Columns(changed, len(numbers)), np.zeros(len(gone), bool)
        found: list[BitmapChange] = []
        for kept, compiled in zip(self.bits.kept, self.compiled, strict=True):
            if len(gone) or _decides(kept, compiled, mapped):
                wanted = np.concatenate((evaluate(compiled, columns), nobody))
                _add(found, kept.members, everybody, wanted)
            elif compiled.of_nothing:
                fresh = numbers[numbers >= profiles]
                _add(found, kept.members, fresh, np.ones(len(fresh), bool))
        for _, touched in self.bits.touched:
            _add(found, touched, everybody, np.ones(len(everybody), bool))
        return tuple(found)


def _decides(kept: KeptSegment, compiled: CompiledSegment, mapped: Set[int]) -> bool:
    """Whether the change can make a difference to profiles that were there. Of a generation that is built their bits may never have been written."""
    return not kept.is_whole or not compiled.needs.isdisjoint(mapped)


def _add(found: list[BitmapChange], bitmap: Bitmap, numbers: npt.NDArray[np.int64] | Places, wanted: Mask) -> None:
    spans = bitmap.spans_putting(numbers, wanted)
    if spans:
        found.append((bitmap, spans))
