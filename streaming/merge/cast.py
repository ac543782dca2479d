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

from headrace.address import PROFILE_IDENTIFIER, profile_identifier_of
from headrace.cells import BLANKS, FRACTION_DIGITS, INTEGER_DIGITS, CellFormat, read_cell, read_identifier, read_list
from headrace.import_plan import Binding, PlannedMapping
from headrace.outcomes import Reason
from profile_store.records import ITEM, has_control_characters, plain, stored, stored_column
from streaming.merge.moments import read_moments, shape_of
from streaming.merge.vectors import Mask, bools, doubles, item_keys, null_where


@dataclass(frozen=True, slots=True)
class Cast:
    """A column of cells, read. `values`: stored form, null where there is none; `bad`: row → why its cell is rejected; `blank`: cells that say nothing."""

    values: pa.StringArray
    bad: dict[int, Reason]
    blank: Mask


def cast_column(cells: pa.StringArray, mapping: PlannedMapping, cell_format: CellFormat) -> Cast:
    """Read a column (no nulls) for the property that it is mapped to."""
    cast = _cast_whole(cells, mapping, cell_format)
    return cast if mapping.longest is None else _refuse_long(cast, mapping.longest, multiple=mapping.multiple)


def _refuse_long(cast: Cast, longest: int, *, multiple: bool) -> Cast:
    """Values of more characters are bad. What is stored is no shorter than the value is, so that only few are looked at."""
    long = np.flatnonzero(bools(pc.greater(pc.utf8_length(cast.values), longest)))
    texts = cast.values.take(pa.array(long)).to_pylist()
    bad = [row for row, text in zip(long.tolist(), texts, strict=True) if _length(text, multiple=multiple) > longest]
    if not bad:
        return cast
    mask = np.zeros(len(cast.values), bool)
    mask[bad] = True
    return Cast(null_where(cast.values, mask), cast.bad | dict.fromkeys(bad, Reason.TOO_LONG), cast.blank)


def _length(text: str, *, multiple: bool) -> int:
    """Of the longest value in a stored one."""
    value = plain(text, multiple=multiple)
    return len(value) if isinstance(value, str) else max(map(len, value))


def _cast_whole(cells: pa.StringArray, mapping: PlannedMapping, cell_format: CellFormat) -> Cast:
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


def cast_bound(cells: pa.StringArray, binding: Binding, cell_format: CellFormat) -> Cast:
    """Read a column of identifiers that are bound and not stored; profile identifiers as 32 hex characters."""
    if binding.property != PROFILE_IDENTIFIER:
        return cast_identifiers(cells, binding.type, cell_format)
    texts = cells.to_pylist()
    found = [profile_identifier_of(text) for text in texts]
    blank = np.fromiter((not text.strip() for text in texts), bool, len(texts))
    bad = {row: Reason.INVALID_IDENTIFIER for row, one in enumerate(found) if one is None and not blank[row]}
    return Cast(pa.array([None if one is None else one.hex() for one in found], pa.string()), bad, blank)


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
    keys, distinct = item_keys(rows, items)
    known[doubles(keys, len(cells) * distinct) // distinct] = False
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


_CANONICAL = rf"\A(?:0|-?(?:[1-9][0-9]{{0,{INTEGER_DIGITS - 1}}}(?:\.[0-9]{{0,{FRACTION_DIGITS - 1}}}[1-9])?|0\.[0-9]{{0,{FRACTION_DIGITS - 1}}}[1-9]))\z"
"""A number as it is stored already: most are written so."""


def _fast_numbers(cells: pa.StringArray, cell_format: CellFormat) -> tuple[pa.StringArray, Mask]:
    numbers = pc.replace_substring(cells, ",", ".") if cell_format.decimal == "," else cells
    as_stored = bools(pc.match_substring_regex(numbers, _CANONICAL))
    if cell_format.decimal == ",":
        as_stored &= ~bools(pc.match_substring(cells, "."))
    if as_stored.all():
        return numbers, as_stored
    others = pa.array(~as_stored)
    rest = cells.filter(others)
    known = bools(pc.match_substring_regex(rest, _NUMBER_SHAPE[cell_format.decimal]))
    read = null_where(numbers.filter(others), ~known).cast(pa.decimal128(38, FRACTION_DIGITS))
    everywhere = as_stored.copy()
    everywhere[~as_stored] = known
    return pc.replace_with_mask(numbers, others, canonical_numbers(read)), everywhere


def canonical_numbers(numbers: pa.Decimal128Array) -> pa.StringArray:
    """Decimals as `headrace.cells.canonical_number` writes them."""
    texts = numbers.cast(pa.string())
    tiny = pc.match_substring(texts, "E")
    if pc.any(tiny).as_py():  # Arrow writes below 1e-6 with an exponent
        plain = [None if t is None else f"{t:f}" for t in numbers.filter(tiny).to_pylist()]
        texts = pc.replace_with_mask(texts, pc.fill_null(tiny, False), pa.array(plain, pa.string()))
    trimmed = pc.ascii_rtrim(pc.ascii_rtrim(texts, "0"), ".")
    return pc.if_else(pc.is_in(trimmed, pa.array(["", "-0", "-", "0"])), "0", trimmed)


def _fast_dates(cells: pa.StringArray, cell_format: CellFormat) -> tuple[pa.StringArray, Mask]:
    shape = shape_of(cell_format.date_format)
    return _nothing(cells) if shape is None else read_moments(cells, shape, "Y-m-d", (1, 9999))


def _fast_datetimes(cells: pa.StringArray, cell_format: CellFormat) -> tuple[pa.StringArray, Mask]:
    """The calendar's ends go to the definition: a zone's offset leaves the years that can be written."""
    shape = shape_of(cell_format.datetime_format)
    if shape is None:
        return _nothing(cells)
    if cell_format.time_zone == "UTC":
        return read_moments(cells, shape, "Y-m-dTH:M:SZ", (2, 9998))
    if not _arrow_knows(cell_format.time_zone):
        return _nothing(cells)
    texts, known = read_moments(cells, shape, "Y-m-dTH:M:S", (2, LAST_YEAR_OF_RULES))
    moments = texts.cast(pa.timestamp("s"))
    zone = {"timezone": cell_format.time_zone, "ambiguous": "earliest"}
    before = pc.assume_timezone(moments, nonexistent="earliest", **zone)
    after = pc.assume_timezone(moments, nonexistent="latest", **zone)
    known &= bools(pc.equal(before, after))
    moments = after.cast(pa.timestamp("s", "UTC")).cast(pa.timestamp("s"))
    return pc.binary_join_element_wise(pc.replace_substring(moments.cast(pa.string()), " ", "T"), "Z", ""), known


def _nothing(cells: pa.StringArray) -> tuple[pa.StringArray, Mask]:
    """Nothing is certain."""
    return pa.nulls(len(cells), pa.string()), np.zeros(len(cells), bool)


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


def _fast_numerals(cells: pa.StringArray, cell_format: CellFormat) -> tuple[pa.StringArray, Mask]:
    return cells, bools(pc.match_substring_regex(cells, _NUMBER_SHAPE[cell_format.decimal]))


_PHONE_SHAPE = r"\A\+1[2-9][0-9]{9}\z"
"""North American numbers as machines write them: all of them are possible. Others are judged by phonenumbers, at 10 µs each."""


def _fast_phones(cells: pa.StringArray, _cell_format: CellFormat) -> tuple[pa.StringArray, Mask]:
    return cells, bools(pc.match_substring_regex(cells, _PHONE_SHAPE))


_FAST: dict[str, Callable[[pa.StringArray, CellFormat], tuple[pa.StringArray, Mask]]] = {
    "number": _fast_numbers,
    "date": _fast_dates,
    "datetime": _fast_datetimes,
    "email": _fast_emails,
    "boolean": _fast_booleans,
    "numeral": _fast_numerals,
    "phone": _fast_phones,
}


def _any_contains(cells: pa.StringArray, text: str) -> bool:
    return bool(pc.any(pc.match_substring(cells, text)).as_py())


def _has_separator(cells: pa.StringArray, cell_format: CellFormat) -> bool:
    return cell_format.multi_value is not None and _any_contains(cells, cell_format.multi_value)


def _is_ascii(cells: pa.StringArray) -> bool:
    return bool(pc.all(pc.string_is_ascii(cells)).as_py()) if len(cells) else True


def _trim(cells: pa.StringArray) -> pa.StringArray:
    return pc.utf8_trim(cells, BLANKS)
