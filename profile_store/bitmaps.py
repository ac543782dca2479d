"""A bitmap by profile number, as the owner of a partition keeps and changes it (docs/adr/0017, 0019).

The owner keeps the bits as it last saw or wrote them, and sends only what changes. They are written by commits, and by whoever leaves a fresh word behind
that the commit compares: so a commit that is let through finds in Redis what its owner has here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Span = tuple[int, bytes]
"""Where it begins, in bytes, and what it is from there on."""
NEAR = 256
"""Changes so few bytes apart are sent as one span: what lies between costs less than another command."""
DENSE = 16
"""Up to so many bytes for each number, to go through all of their bits is faster than to reach for each."""


@dataclass(slots=True, eq=False)
class Bitmap:
    """`bits`: as Redis has them: the highest bit of the first byte is profile 0; what is beyond them is 0."""

    key: str
    bits: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))

    def spans_putting(self, numbers: npt.NDArray[np.int64], wanted: npt.NDArray[np.bool_]) -> tuple[Span, ...]:
        """What to write so that each profile (each number once) is a member or not, as wanted; nothing where all are. Changes nothing here: see `write`."""
        if not len(numbers):
            return ()
        first, end = int(numbers.min()) >> 3, (int(numbers.max()) >> 3) + 1
        before = (self.bits if end <= len(self.bits) else _padded(self.bits, end))[first:end]
        after = _with(before, numbers - (first << 3), wanted)
        places = np.flatnonzero(after != before)
        return tuple((first + int(places[start]), after[places[start] : places[stop - 1] + 1].tobytes()) for start, stop in _runs(places))

    def write(self, spans: tuple[Span, ...]) -> None:
        """They are in Redis now."""
        for first, part in spans:
            if (end := first + len(part)) > len(self.bits):
                self.bits = _padded(self.bits, 2 * end)
            self.bits[first:end] = np.frombuffer(part, np.uint8)


def _padded(bits: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    return np.concatenate((bits, np.zeros(size - len(bits), np.uint8)))


def _with(before: npt.NDArray[np.uint8], numbers: npt.NDArray[np.int64], wanted: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """A copy in which the bits `numbers` are as wanted."""
    if len(before) <= DENSE * len(numbers):
        bits = np.unpackbits(before)
        bits[numbers] = wanted
        return np.packbits(bits)
    after, places, masks = before.copy(), numbers >> 3, (128 >> (numbers & 7)).astype(np.uint8)
    np.bitwise_or.at(after, places, masks)
    np.bitwise_xor.at(after, places[~wanted], masks[~wanted])
    return after


def _runs(places: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """(first, end) of each run of ascending places that are near each other; of no places, none."""
    if not len(places):
        return
    breaks = np.flatnonzero(np.diff(places) > NEAR) + 1
    yield from pairwise([0, *breaks.tolist(), len(places)])
