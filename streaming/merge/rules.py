"""The four rules on columns of stored values (SPEC M4–M7), a row for each of some profiles."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.cells import FRACTION_DIGITS
from headrace.import_plan import PlannedMapping
from profile_store.records import ITEM
from streaming.merge.cast import Cast, canonical_numbers
from streaming.merge.fold import SUM_OVERFLOW, fold_sum
from streaming.merge.vectors import Mask, Places, bools, item_keys, not_among, null_where, take


def merged_values(mapping: PlannedMapping, old: pa.StringArray, cast: Cast, rows: Places) -> tuple[pa.StringArray, Mask | None]:
    """The values after these rows' cells, one for each of `old`, and where a sum is out of range, if anywhere."""
    value, overflow = _apply(mapping, old, take(cast.values, rows))
    return null_where(value, cast.blank[rows]) if mapping.blank == "clear" else value, overflow


def _apply(mapping: PlannedMapping, old: pa.StringArray, new: pa.StringArray) -> tuple[pa.StringArray, Mask | None]:
    """The values that a rule gives (SPEC M4–M7), and where a sum is out of range, if anywhere."""
    match mapping.rule:
        case "set":
            return pc.coalesce(new, old), None
        case "set_if_empty":
            return pc.coalesce(old, new), None
        case "add":
            return _add(old, new), None
        case "sum":
            return _sum(old, new)


def _add(old: pa.StringArray, new: pa.StringArray) -> pa.StringArray:
    both = bools(pc.and_(pc.is_valid(old), pc.is_valid(new)))
    value = pc.coalesce(old, new)
    if not both.any():
        return value
    mask = pa.array(both)
    return pc.replace_with_mask(value, mask, _union(old.filter(mask), new.filter(mask)))


def _union(old: pa.StringArray, new: pa.StringArray) -> pa.StringArray:
    """Row by row, `old` and behind it the items of `new` that are not in it. Both in stored form, without nulls, each without doubles."""
    before, after = pc.split_pattern(old, ITEM), pc.split_pattern(new, ITEM)
    items = pa.concat_arrays([before.flatten(), after.flatten()])
    rows = np.concatenate([pc.list_parent_indices(lists).to_numpy(zero_copy_only=False) for lists in (before, after)])
    keys, distinct = item_keys(rows, items)
    there = len(before.flatten())
    fresh = np.flatnonzero(not_among(keys[there:], keys[:there], len(old) * distinct)) + there
    if not len(fresh):
        return old
    counts = np.bincount(rows[fresh], minlength=len(old))
    ends = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    added = pc.binary_join(pa.ListArray.from_arrays(pa.array(ends), items.take(pa.array(fresh))), ITEM)
    return pc.if_else(pa.array(counts > 0), pc.binary_join_element_wise(old, added, ITEM), old)


_SAFE = pa.decimal128(37, FRACTION_DIGITS)
"""One digit less than numbers may have: two of these add up to one that is in range."""
_CENTS = pa.decimal128(17, 2)
"""Numbers with two decimals at most, whose sum fits in 64 bits."""
_DECIMALS = pa.array([f".{cents:02d}".rstrip("0").rstrip(".") for cents in range(100)])


def _sum(old: pa.StringArray, new: pa.StringArray) -> tuple[pa.StringArray, Mask | None]:
    if old.null_count == len(old):
        return new, None
    old_filled, new_filled = pc.fill_null(old, "0"), pc.fill_null(new, "0")
    try:
        total = _sum_of_cents(old_filled.cast(_CENTS), new_filled.cast(_CENTS))
    except pa.ArrowInvalid:  # more digits
        total = None
    if total is None:
        try:
            total = canonical_numbers(pc.add(old_filled.cast(_SAFE), new_filled.cast(_SAFE)))
        except pa.ArrowInvalid:  # a number of 38 digits: one by one
            return _sum_slowly(old, new)
    return pc.if_else(pc.is_valid(new), total, old), None


def _sum_of_cents(old: pa.Decimal128Array, new: pa.Decimal128Array) -> pa.StringArray | None:
    """Canonical sums, of 64 bits; None where one is negative."""
    total = _low_words(old) + _low_words(new)
    if (total < 0).any():
        return None
    whole, cents = np.divmod(total, 100)
    texts = pa.array(whole).cast(pa.string())
    return pc.binary_join_element_wise(texts, _DECIMALS.take(pa.array(cents)), "") if cents.any() else texts


def _low_words(numbers: pa.Decimal128Array) -> Places:
    """The numbers without their point, as 64 bits: `_CENTS` has no more."""
    words = np.frombuffer(numbers.buffers()[1], np.int64)
    return words[2 * numbers.offset : 2 * (numbers.offset + len(numbers)) : 2]


def _sum_slowly(old: pa.StringArray, new: pa.StringArray) -> tuple[pa.StringArray, Mask]:
    totals = [fold_sum(a, b) for a, b in zip(old.to_pylist(), new.to_pylist(), strict=True)]
    overflow = np.fromiter((total is SUM_OVERFLOW for total in totals), bool, len(totals))
    kept = [a if total is SUM_OVERFLOW else total for a, total in zip(old.to_pylist(), totals, strict=True)]
    return pa.array(kept, pa.string()), overflow
