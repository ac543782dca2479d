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


@dataclass(slots=True, eq=False)
class Bitmap:
    """`bits`: as Redis has them: the highest bit of the first byte is profile 0; what is beyond them is 0."""

    key: str
    bits: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))

    def spans_putting(self, numbers: npt.NDArray[np.int64], wanted: npt.NDArray[np.bool_]) -> tuple[Span, ...]:
        """What to write so that each profile (each number once) is a member or not, as wanted; nothing where all are. Changes nothing here: see `write`."""
        if not len(numbers):
            return ()
        places, masks = numbers >> 3, (128 >> (numbers & 7)).astype(np.uint8)
        there = self.bits if (end := int(places.max()) + 1) <= len(self.bits) else _padded(self.bits, end)
        differing = ((there[places] & masks) != 0) != wanted
        if not differing.any():
            return ()
        order = np.flatnonzero(differing)[np.argsort(places[differing], kind="stable")]
        places, masks = places[order], masks[order]
        found = []
        for start, stop in _runs(places):
            first = int(places[start])
            part = there[first : int(places[stop - 1]) + 1].copy()
            np.bitwise_xor.at(part, places[start:stop] - first, masks[start:stop])
            found.append((first, part.tobytes()))
        return tuple(found)

    def write(self, spans: tuple[Span, ...]) -> None:
        """They are in Redis now."""
        for first, part in spans:
            if (end := first + len(part)) > len(self.bits):
                self.bits = _padded(self.bits, 2 * end)
            self.bits[first:end] = np.frombuffer(part, np.uint8)


def _padded(bits: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    return np.concatenate((bits, np.zeros(size - len(bits), np.uint8)))


def _runs(places: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """(first, end) of each run of ascending places that are near each other."""
    breaks = np.flatnonzero(np.diff(places) > NEAR) + 1
    return pairwise([0, *breaks.tolist(), len(places)])
