"""Dates and times of fixed width, read from the bytes of a whole column at once: digits are checked and moved, no calendar is asked but for the days
of a month.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streaming.merge.vectors import Mask

WIDTHS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2}
LEAST = {"Y": 1, "m": 1, "d": 1, "H": 0, "M": 0, "S": 0}
MOST = {"Y": 9999, "m": 12, "d": 31, "H": 23, "M": 59, "S": 59}
_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.uint8)
_ZERO = ord("0")


@dataclass(frozen=True, slots=True)
class Shape:
    """A strptime pattern whose every part has one width. `parts`: directive → where its digits begin; `literals`: place, byte."""

    width: int
    parts: dict[str, int]
    literals: tuple[tuple[int, int], ...]


@lru_cache(maxsize=256)
def shape_of(pattern: str) -> Shape | None:
    """None where the pattern has no such shape, or does not say which day."""
    place, rest = 0, pattern
    parts: dict[str, int] = {}
    literals: list[tuple[int, int]] = []
    while rest:
        if rest[0] == "%":
            directive = rest[1:2]
            if directive not in WIDTHS or directive in parts:
                return None
            parts[directive] = place
            place, rest = place + WIDTHS[directive], rest[2:]
            continue
        if not rest[0].isascii() or (rest[0].isspace() and rest[0] != " "):
            return None
        literals.append((place, ord(rest[0])))
        place, rest = place + 1, rest[1:]
    return Shape(place, parts, tuple(literals)) if {"Y", "m", "d"} <= parts.keys() else None


def read_moments(cells: pa.StringArray, shape: Shape, layout: str, years: tuple[int, int]) -> tuple[Any, Mask]:
    """Cells (no nulls) written as `layout` says, null where they are not of this shape or not in the calendar; and where they are.

    `layout`: the directives' letters stand for their digits ("Y-m-dTH:M:SZ"), zeros where the pattern has no such part; the rest as it is. `years`:
    the first and the last that are read.
    """
    size = len(cells)
    offsets = np.frombuffer(cells.buffers()[1], np.int32, size + 1, 4 * cells.offset)
    known = np.diff(offsets) == shape.width
    rows = np.flatnonzero(known)
    if not len(rows):
        return pa.nulls(size, pa.string()), known
    data = np.frombuffer(cells.buffers()[2], np.uint8)
    if offsets[-1] - offsets[0] == len(rows) * shape.width:  # all others are empty
        texts = np.ascontiguousarray(data[offsets[0] : offsets[-1]].reshape(len(rows), shape.width).T)
    else:
        texts = data[offsets[:-1][rows] + np.arange(shape.width, dtype=np.int32)[:, None]]
    good = _is_moment(texts, shape, years)
    if not good.all():
        texts, rows = texts[:, good], rows[good]
        known = np.zeros(size, bool)
        known[rows] = True
    written = np.empty((_length(layout), len(rows)), np.uint8)
    place = 0
    for letter in layout:
        length = WIDTHS.get(letter, 1)
        if letter in shape.parts:
            first = shape.parts[letter]
            written[place : place + length] = texts[first : first + length]
        else:
            written[place : place + length] = _ZERO if letter in WIDTHS else ord(letter)
        place += length
    ends = np.zeros(size + 1, np.int32)
    np.cumsum(known * np.int32(place), out=ends[1:])
    valid = None if len(rows) == size else pa.py_buffer(np.packbits(known, bitorder="little"))
    return pa.Array.from_buffers(pa.string(), size, [valid, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(written.T))]), known


def _length(layout: str) -> int:
    return sum(WIDTHS.get(letter, 1) for letter in layout)


def _is_moment(texts: npt.NDArray[np.uint8], shape: Shape, years: tuple[int, int]) -> Mask:
    """`texts`: a column for each cell, a row for each place in it."""
    good = np.ones(texts.shape[1], bool)
    for place, byte in shape.literals:
        good &= texts[place] == byte
    values: dict[str, npt.NDArray[Any]] = {}
    for directive, first in shape.parts.items():
        digits = texts[first : first + WIDTHS[directive]] - np.uint8(_ZERO)  # what is below "0" comes round to above 9
        good &= (digits <= 9).all(axis=0)
        pairs = digits[0::2] * np.uint8(10) + digits[1::2]
        value = values[directive] = pairs[0] if len(pairs) == 1 else pairs[0].astype(np.int16) * np.int16(100) + pairs[1]
        good &= (value >= LEAST[directive]) & (value <= MOST[directive])
    good &= (values["Y"] >= years[0]) & (values["Y"] <= years[1])
    last = _DAYS[np.minimum(values["m"], 12)]
    late = np.flatnonzero(values["d"] > last)
    year = values["Y"][late]
    leap = (values["m"][late] == 2) & (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    good[late] &= values["d"][late] <= last[late] + leap
    return good
