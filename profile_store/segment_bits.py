"""The segments that a partition's owner keeps: the bits of each generation that is there, and who was touched while one is built (docs/adr/0019).

They are written by commits, and by what completes and drops generations, which leaves a fresh word behind. The commit compares token and word.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from profile_store import keys
from profile_store.bitmaps import Bitmap, Span
from profile_store.membership import COMPLETE
from profile_store.store import Store, text

BitmapChange = tuple[Bitmap, tuple[Span, ...]]


@dataclass(frozen=True, slots=True)
class KeptSegment:
    """`is_whole`: nobody builds it any more, so a profile that does not change keeps its bit."""

    id: int
    generation: int
    is_whole: bool
    members: Bitmap


@dataclass(frozen=True, slots=True)
class SegmentBits:
    """`word`: what the partition's `meta` said when they were read; `touched`: generation that is built here → who was committed since it began."""

    word: str
    kept: tuple[KeptSegment, ...] = ()
    touched: tuple[tuple[int, Bitmap], ...] = ()


def read_segment_bits(store: Store, domain: str, partition: int) -> tuple[str, SegmentBits]:
    """As Redis has them now, and the partition's token at that moment."""
    names = [keys.meta(domain, partition), keys.segment_generations(domain, partition), keys.nothing(domain, partition)]
    token, word, members, touched = store.run_script("read_segments", names, [keys.partition_tag(domain, partition)])
    kept = []
    for pair, state, bits in zip(members[::3], members[1::3], members[2::3], strict=True):
        identity, generation = map(int, text(pair).split("."))
        kept.append(
            KeptSegment(identity, generation, text(state) == COMPLETE, _bitmap(keys.segment_members(domain, partition, text(pair)), bits))
        )
    marked = tuple(
        (int(generation), _bitmap(keys.segment_touched(domain, partition, int(generation)), bits))
        for generation, bits in zip(touched[::2], touched[1::2], strict=True)
    )
    return text(token), SegmentBits(text(word), tuple(kept), marked)


def _bitmap(key: str, bits: bytes) -> Bitmap:
    return Bitmap(key, np.frombuffer(bits, np.uint8).copy())
