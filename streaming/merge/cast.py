"""Whole columns of cells as values: `headrace.cells` at Arrow's speed. It must agree with it for every text; a property test compares the two.

What a fast path does not read with certainty goes to `headrace.cells`, cell by cell: so the definition stays in one place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from email_validator import SPECIAL_USE_DOMAIN_NAMES

from headrace.cells import BLANKS, FRACTION_DIGITS, INTEGER_DIGITS, CellFormat, read_cell, read_identifier, read_list
from headrace.import_plan import PlannedMapping
from headrace.outcomes import Reason
from profile_store.records import ITEM, has_control_characters, stored, stored_column
from streaming.merge.vectors import ITEMS, Mask, bools, item_keys, null_where


@dataclass(frozen=True, slots=True)
class Cast:
    """A column of cells, read. `values`: stored form, null where there is none; `bad`: row → why its cell is rejected; `blank`: cells that say nothing."""

    values: pa.StringArray
    bad: dict[int, Reason]
    blank: Mask


def cast_column(cells: pa.StringArray, mapping: PlannedMapping, cell_format: CellFormat) -> Cast:
    """Read a column (no nulls) for the property that it is mapped to."""
    if mapping.identifier:
        return cast_identifiers(cells, mapping.type, cell_format)
    if mapping.multiple and cell_format.multi_value is not None and _any_contains(cells, cell_format.multi_value):
        return _lists(cells, mapping.type, cell_format)
    return _singles(cells, mapping.type, cell_format, several=read_list if mapping.multiple else read_cell)


def cast_identifiers(cells: pa.StringArray, type_name: str, cell_format: CellFormat) -> Cast:
    """Read a column of identifiers: normalised for exact matching (SPEC M2)."""
    normal = cells if _is_ascii(cells) else pc.utf8_normalize(cells, "NFC")
    trimmed = _trim(normal)
    if type_name == "text" and not has_control_characters(trimmed) and not _has_separator(trimmed, cell_format):
        blank = bools(pc.equal(trimmed, ""))
        return Cast(null_where(trimmed, blank), {}, blank)
    if type_name == "email" and not has_control_characters(trimmed) and not _has_separator(trimmed, cell_format):
        return _by_cell(trimmed, *_fast_emails(trimmed, cell_format), lambda text: read_identifier(type_name, text, cell_format))
    nothing = pa.nulls(len(trimmed), pa.string()), np.zeros(len(trimmed), bool)
    return _by_cell(trimmed, *nothing, lambda text: read_identifier(type_name, text, cell_format))


_Reader = Callable[[str, str, CellFormat], Any]


def _singles(cells: pa.StringArray, type_name: str, cell_format: CellFormat, several: _Reader) -> Cast:
    def one(text: str) -> Any:
        return several(type_name, text, cell_format)

    if _has_separator(cells, cell_format):
        return _by_cell(cells, pa.nulls(len(cells), pa.string()), np.zeros(len(cells), bool), one)
    trimmed = _trim(cells)
    if type_name == "text":
        blank = bools(pc.equal(trimmed, ""))
        return Cast(stored_column(null_where(cells, blank)), {}, blank)
    fast, known = _FAST[type_name](trimmed, cell_format)
    return _by_cell(trimmed, fast, known, one)


def _by_cell(cells: pa.StringArray, fast: pa.StringArray, known: Mask, one: Callable[[str], Any]) -> Cast:
    """The fast values where they are known; the rest, blanks apart, by the definition."""
    blank = bools(pc.equal(cells, ""))
    rest = np.flatnonzero(~known & ~blank)
    if not len(rest):
        return Cast(null_where(fast, blank), {}, blank)
    found: list[str | None] = []
    bad: dict[int, Reason] = {}
    cache: dict[str, Any] = {}
    for row, text in zip(rest.tolist(), cells.take(pa.array(rest)).to_pylist(), strict=True):
        value = cache.get(text, cache)
        if value is cache:
            value = cache[text] = one(text)
        if isinstance(value, Reason):
            bad[row] = value
            found.append(None)
        elif value is None:
            blank[row] = True
            found.append(None)
        else:
            found.append(stored(value))
    mask = np.zeros(len(cells), bool)
    mask[rest] = True
    values = pc.replace_with_mask(null_where(fast, blank | mask), pa.array(mask), pa.array(found, pa.string()))
    return Cast(values, bad, blank)


def _lists(cells: pa.StringArray, type_name: str, cell_format: CellFormat) -> Cast:
    """Cells with several values."""
    if type_name == "text" and cell_format.multi_value is not None and not has_control_characters(cells):
        return _by_cell(cells, *_fast_texts(cells, cell_format.multi_value), lambda text: read_list(type_name, text, cell_format))
    return _distinct_lists(cells, type_name, cell_format)


def _fast_texts(cells: pa.StringArray, separator: str) -> tuple[pa.StringArray, Mask]:
    """Lists of texts as they stand, where no item is blank and none is there twice."""
    parts = pc.split_pattern(cells, separator)
    items, rows = parts.flatten(), pc.list_parent_indices(parts).to_numpy(zero_copy_only=False)
    known = np.ones(len(cells), bool)
    known[rows[bools(pc.equal(_trim(items), ""))]] = False
    keys = np.sort(item_keys(rows, items))
    twice = keys[1:][keys[1:] == keys[:-1]]
    if len(twice):
        known[twice // ITEMS] = False
    return pc.replace_substring(cells, separator, ITEM), known


def _distinct_lists(cells: pa.StringArray, type_name: str, cell_format: CellFormat) -> Cast:
    """Files repeat their lists, so each distinct cell is read once."""
    encoded = cells.dictionary_encode()
    distinct = [read_list(type_name, text, cell_format) for text in encoded.dictionary.to_pylist()]
    values = pa.array([None if value is None or isinstance(value, Reason) else stored(value) for value in distinct], pa.string())
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    reasons = {code: value for code, value in enumerate(distinct) if isinstance(value, Reason)}
    is_bad = np.zeros(len(distinct), bool)
    is_bad[list(reasons)] = True
    is_blank = np.fromiter((value is None for value in distinct), bool, len(distinct))
    bad = {int(row): reasons[int(codes[row])] for row in np.flatnonzero(is_bad[codes])} if reasons else {}
    return Cast(values.take(encoded.indices), bad, is_blank[codes])


# Fast paths: (column, format) → (values, where they are certain).

_WHOLE, _FRACTION = f"[0-9]{{1,{INTEGER_DIGITS}}}", f"[0-9]{{1,{FRACTION_DIGITS}}}"
_NUMBER_SHAPE = {
    separator: rf"\A[+-]?(?:{_WHOLE}(?:{point}(?:{_FRACTION})?)?|{point}{_FRACTION})\z" for separator, point in ((".", r"\."), (",", ","))
}


def _fast_numbers(cells: pa.StringArray, cell_format: CellFormat) -> tuple[pa.StringArray, Mask]:
    known = bools(pc.match_substring_regex(cells, _NUMBER_SHAPE[cell_format.decimal]))
    numbers = null_where(cells, ~known)
    if cell_format.decimal == ",":
        numbers = pc.replace_substring(numbers, ",", ".")
    return canonical_numbers(numbers.cast(pa.decimal128(38, FRACTION_DIGITS))), known


def canonical_numbers(numbers: pa.Decimal128Array) -> pa.StringArray:
    """Decimals as `headrace.cells.canonical_number` writes them."""
    texts = numbers.cast(pa.string())
    tiny = pc.match_substring(texts, "E")
    if pc.any(tiny).as_py():  # Arrow writes below 1e-6 with an exponent
        plain = [None if t is None else f"{t:f}" for t in numbers.filter(tiny).to_pylist()]
        texts = pc.replace_with_mask(texts, pc.fill_null(tiny, False), pa.array(plain, pa.string()))
    trimmed = pc.ascii_rtrim(pc.ascii_rtrim(texts, "0"), ".")
    return pc.if_else(pc.is_in(trimmed, pa.array(["", "-0", "-", "0"])), "0", trimmed)


_PARTS = {"Y": (4, pc.year), "m": (2, pc.month), "d": (2, pc.day), "H": (2, pc.hour), "M": (2, pc.minute), "S": (2, pc.second)}


def _fast_moments(cells: pa.StringArray, pattern: str) -> tuple[Any, Mask]:
    """Timestamps in seconds, where the pattern has numbers of fixed width only and Arrow's reading holds digit by digit.

    Arrow takes 30 February for 2 March, and a 60th second for the next minute: so each part is compared with the text.
    """
    shape, parts = _fixed_shape(pattern)
    if not parts:
        return pa.nulls(len(cells), pa.timestamp("s")), np.zeros(len(cells), bool)
    known = bools(pc.match_substring_regex(cells, shape))
    moments = pc.strptime(null_where(cells, ~known), pattern, "s", error_is_null=True)
    known &= bools(pc.is_valid(moments))
    for directive, place in parts:
        length, part_of = _PARTS[directive]
        written = pc.utf8_slice_codeunits(null_where(cells, ~known), place, place + length).cast(pa.int64())
        known &= bools(pc.equal(written, part_of(moments)))
    known &= bools(pc.greater(pc.year(moments), 0))
    return moments, known


def _fixed_shape(pattern: str) -> tuple[str, list[tuple[str, int]]]:
    """The regular expression of a strptime pattern whose every part has one width, the places of the parts; no parts: there is none."""
    shape, place, rest = r"\A", 0, pattern
    parts: list[tuple[str, int]] = []
    while rest:
        if rest[0] == "%":
            directive = rest[1:2]
            if directive not in _PARTS or directive in (one for one, _ in parts):
                return "", []
            length = _PARTS[directive][0]
            parts.append((directive, place))
            shape += f"[0-9]{{{length}}}"
            place, rest = place + length, rest[2:]
        else:
            if rest[0].isspace():
                shape += " " if rest[0] == " " else r"\z\A"
            else:
                shape += re.escape(rest[0])
            place, rest = place + 1, rest[1:]
    if not {"Y", "m", "d"} <= {one for one, _ in parts}:
        return "", []
    return shape + r"\z", parts


def _fast_dates(cells: pa.StringArray, cell_format: CellFormat) -> tuple[pa.StringArray, Mask]:
    moments, known = _fast_moments(cells, cell_format.date_format)
    return moments.cast(pa.date32()).cast(pa.string()), known


def _fast_datetimes(cells: pa.StringArray, cell_format: CellFormat) -> tuple[pa.StringArray, Mask]:
    moments, known = _fast_moments(cells, cell_format.datetime_format)
    # The calendar's ends go to the definition: a zone's offset leaves the years that can be written.
    known &= bools(pc.and_(pc.greater(pc.year(moments), 1), pc.less(pc.year(moments), 9999)))
    moments = null_where(moments, ~known)
    if cell_format.time_zone != "UTC":
        if not _arrow_knows(cell_format.time_zone):
            return pa.nulls(len(cells), pa.string()), np.zeros(len(cells), bool)
        known &= bools(pc.less_equal(pc.year(moments), LAST_YEAR_OF_RULES))
        moments = null_where(moments, ~known)
        zone = {"timezone": cell_format.time_zone, "ambiguous": "earliest"}
        before = pc.assume_timezone(moments, nonexistent="earliest", **zone)
        after = pc.assume_timezone(moments, nonexistent="latest", **zone)
        known &= bools(pc.equal(before, after))
        moments = after.cast(pa.timestamp("s", "UTC")).cast(pa.timestamp("s"))
    texts = pc.binary_join_element_wise(pc.replace_substring(moments.cast(pa.string()), " ", "T"), "Z", "")
    return texts, known


LAST_YEAR_OF_RULES = 2037
"""Zone files list every change of the clocks up to here; beyond, Arrow knows no summer time."""


@lru_cache(maxsize=64)
def _arrow_knows(zone: str) -> bool:
    """Whether Arrow reads local times of this zone as Python does: where the machine has no zone files, or terse ones, it does not."""
    samples = [datetime(1880, 1, 1, 12) + timedelta(days=days) for days in range(0, (LAST_YEAR_OF_RULES - 1880) * 365, 13)]
    expected = [moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None) for moment in samples]
    try:
        found = pc.assume_timezone(pa.array(samples, pa.timestamp("s")), timezone=zone, ambiguous="earliest", nonexistent="latest")
    except pa.ArrowInvalid:
        return False
    utc = found.cast(pa.timestamp("s", "UTC")).cast(pa.timestamp("s"))
    return bool(utc.equals(pa.array(expected, pa.timestamp("s"))))


_EMAIL_SHAPE = r"\A[A-Za-z0-9_+-]{1,30}(?:\.[A-Za-z0-9_+-]{1,10}){0,3}@(?:[A-Za-z0-9]{1,30}\.){1,3}[A-Za-z]{2,12}\z"
"""Addresses that every validator takes; anything longer or rarer is judged by email-validator."""


_SPECIAL_DOMAIN = rf"(?i)[@.](?:{'|'.join(map(re.escape, SPECIAL_USE_DOMAIN_NAMES))})\z"
"""Domains that no mail goes to, which the validator refuses."""


def _fast_emails(cells: pa.StringArray, _cell_format: CellFormat) -> tuple[pa.StringArray, Mask]:
    known = bools(pc.match_substring_regex(cells, _EMAIL_SHAPE)) & ~bools(pc.match_substring_regex(cells, _SPECIAL_DOMAIN))
    return pc.ascii_lower(cells), known


def _fast_booleans(cells: pa.StringArray, _cell_format: CellFormat) -> tuple[pa.StringArray, Mask]:
    lower = pc.ascii_lower(cells)
    true, false = pc.is_in(lower, pa.array(["true", "yes", "1"])), pc.is_in(lower, pa.array(["false", "no", "0"]))
    return pc.if_else(true, "true", "false"), bools(pc.or_(true, false))


_FAST: dict[str, Callable[[pa.StringArray, CellFormat], tuple[pa.StringArray, Mask]]] = {
    "number": _fast_numbers,
    "date": _fast_dates,
    "datetime": _fast_datetimes,
    "email": _fast_emails,
    "boolean": _fast_booleans,
}


def _any_contains(cells: pa.StringArray, text: str) -> bool:
    return bool(pc.any(pc.match_substring(cells, text)).as_py())


def _has_separator(cells: pa.StringArray, cell_format: CellFormat) -> bool:
    return cell_format.multi_value is not None and _any_contains(cells, cell_format.multi_value)


def _is_ascii(cells: pa.StringArray) -> bool:
    return bool(pc.all(pc.string_is_ascii(cells)).as_py()) if len(cells) else True


def _trim(cells: pa.StringArray) -> pa.StringArray:
    return pc.utf8_trim(cells, BLANKS)
