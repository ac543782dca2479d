"""Whole columns of stored values as cells: `headrace.written_cells` at Arrow's speed. It must agree with it for every value; a test compares the two.

What a fast path does not write with certainty goes to the definition, each distinct value once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.cells import CellFormat
from headrace.formats import directives
from headrace.written_cells import FORMULA, HARMLESS, write_cell
from profile_store.records import ITEM, has_control_characters, plain
from streaming.exporting.column_bytes import bytes_of, replaced
from streaming.merge.moments import WIDTHS, read_moments, shape_of
from streaming.merge.vectors import Mask, bools

STORED_DATE, STORED_DATETIME, LOCAL = "%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S"
DAY = 86_400
PROBED_YEARS = (2, 9998)
"""Offsets of the calendar's first and last days lead out of it: those go to the definition."""


@dataclass(frozen=True, slots=True)
class Written:
    """`cells`: null where there is no value, or none that can be written; `left_out`: how many of the latter."""

    cells: pa.StringArray
    left_out: int


def write_column(values: pa.StringArray, type_name: str, *, multiple: bool, cell_format: CellFormat) -> Written:
    """`values`: in stored form, null for none."""
    fast, known = _fast_lists(values, type_name, cell_format) if multiple else _FAST.get(type_name, _fast_texts)(values, cell_format)
    if cell_format.multi_value is not None and not multiple:
        known = known & _without(fast, cell_format.multi_value)
    rest = np.flatnonzero(~known)
    if len(rest) and values.null_count:
        rest = rest[bools(pc.is_valid(values))[rest]]
    if not len(rest):
        return Written(fast, 0)
    encoded = values.take(pa.array(rest)).dictionary_encode()
    distinct = [write_cell(type_name, plain(text, multiple=multiple), cell_format) for text in encoded.dictionary.to_pylist()]
    slow = pa.array(distinct, pa.string()).take(encoded.indices)
    mask = np.zeros(len(values), bool)
    mask[rest] = True
    return Written(pc.replace_with_mask(fast, pa.array(mask), slow), slow.null_count)


def harmless(cells: pa.StringArray) -> pa.StringArray:
    """SPEC E8: text that a spreadsheet would run gets an apostrophe in front."""
    risky = bools(pc.is_in(pc.utf8_slice_codeunits(cells, 0, 1), pa.array(list(FORMULA))))
    if not risky.any():
        return cells
    return pc.if_else(pa.array(risky), pc.binary_join_element_wise(HARMLESS, cells, ""), cells)


# Fast paths: (column, format) → (cells, where they are certain). Where there is no value the cell is null.


def _fast_texts(values: pa.StringArray, _cell_format: CellFormat) -> tuple[pa.StringArray, Mask]:
    if has_control_characters(values):  # some may be escaped
        return values, ~bools(pc.match_substring_regex(values, "[\x01-\x1f]"))
    return values, np.ones(len(values), bool)


def _fast_numbers(values: pa.StringArray, cell_format: CellFormat) -> tuple[pa.StringArray, Mask]:
    return replaced(values, ".", cell_format.decimal), np.ones(len(values), bool)


def _fast_dates(values: pa.StringArray, cell_format: CellFormat) -> tuple[pa.StringArray, Mask]:
    if cell_format.date_format == STORED_DATE:
        return values, np.ones(len(values), bool)
    return _laid_out(values, STORED_DATE, cell_format.date_format)


def _fast_datetimes(values: pa.StringArray, cell_format: CellFormat) -> tuple[pa.StringArray, Mask]:
    """Without a fraction, and of a zone whose clocks change not more than once a day."""
    if _layout(cell_format.datetime_format) is None:
        return _nothing(values)
    if cell_format.time_zone == "UTC":
        return _laid_out(values, STORED_DATETIME, cell_format.datetime_format)
    texts, known = read_moments(_filled(values), _shape(STORED_DATETIME), "Y-m-d H:M:S", PROBED_YEARS)
    seconds = texts.cast(pa.timestamp("s")).cast(pa.int64()).fill_null(0).to_numpy()
    days, places = np.unique(seconds // DAY, return_inverse=True)
    offsets = [_offset_of_day(cell_format.time_zone, day) for day in days.tolist()]
    known &= np.array([offset is not None for offset in offsets], bool)[places]
    local = pa.array(seconds + np.array([offset or 0 for offset in offsets], np.int64)[places], mask=~known).cast(pa.timestamp("s"))
    cells, laid_out = _laid_out(local.cast(pa.string()), LOCAL, cell_format.datetime_format)
    return cells, known & laid_out


_FAST: dict[str, Callable[[pa.StringArray, CellFormat], tuple[pa.StringArray, Mask]]] = {
    "number": _fast_numbers,
    "date": _fast_dates,
    "datetime": _fast_datetimes,
}


def _fast_lists(values: pa.StringArray, type_name: str, cell_format: CellFormat) -> tuple[pa.StringArray, Mask]:
    """Lists whose items are written as they are stored. One item, or none that holds the separator."""
    separator = cell_format.multi_value
    as_stored = type_name in ("text", "email", "boolean") or (type_name == "date" and cell_format.date_format == STORED_DATE)
    if not as_stored or separator is None or separator < " ":
        return _nothing(values)
    known = _without(values, separator)
    data = np.frombuffer(bytes_of(values), np.uint8)
    if ((data < 0x20) & (data != ord(ITEM))).any():
        known = known & ~bools(pc.match_substring_regex(values, "[\x01-\x1d\x1f]"))
    return replaced(values, ITEM, separator), known


def _without(values: pa.StringArray, text: str) -> Mask:
    """Which values do not hold a text."""
    if text.encode() not in bytes_of(values):
        return np.ones(len(values), bool)
    return ~bools(pc.match_substring(values, text))


def _laid_out(values: pa.StringArray, stored: str, pattern: str) -> tuple[pa.StringArray, Mask]:
    layout = _layout(pattern)
    if layout is None:
        return _nothing(values)
    found: tuple[Any, Mask] = read_moments(_filled(values), _shape(stored), layout, (1, 9999))
    return found


@lru_cache(maxsize=64)
def _layout(pattern: str) -> str | None:
    """The pattern as `read_moments` takes it; None where a part has no fixed width, or its letters stand for themselves."""
    layout, done = "", 0
    for position, letter in directives(pattern):
        literal = pattern[done : position - 1]
        if letter not in WIDTHS or not literal.isascii() or set(literal) & WIDTHS.keys():
            return None
        layout, done = layout + literal + letter, position + 1
    literal = pattern[done:]
    return None if not literal.isascii() or set(literal) & WIDTHS.keys() else layout + literal


def _shape(pattern: str) -> Any:
    return shape_of(pattern)


@lru_cache(maxsize=1 << 16)
def _offset_of_day(zone: str, day: int) -> int | None:
    """Seconds to add to UTC on that day, counted from 1970; None where the clocks change on it."""
    begin = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)
    offsets = {(begin + timedelta(seconds=second)).astimezone(ZoneInfo(zone)).utcoffset() for second in (0, DAY // 2, DAY)}
    [offset, *others] = offsets
    return None if others or offset is None else round(offset.total_seconds())


def _filled(values: pa.StringArray) -> pa.StringArray:
    return values.fill_null("") if values.null_count else values


def _nothing(values: pa.StringArray) -> tuple[pa.StringArray, Mask]:
    return pa.nulls(len(values), pa.string()), np.zeros(len(values), bool)
