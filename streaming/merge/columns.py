"""The merge of a row batch into the profiles it is for, in columns. It gives what `headrace.merge.import_rows` gives, row by row.

Rows of one address take effect in order (SPEC M12): round k merges the k-th row of every address, all addresses at once. Few profiles have many rows
in one batch; what is left when a round gets small is folded row by row (`streaming.merge.fold`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.cells import FRACTION_DIGITS
from headrace.import_plan import ImportPlan, PlannedMapping
from headrace.outcomes import Outcomes, Reason, Reject
from profile_store.records import ITEM, decode_records
from streaming.merge.cast import canonical_numbers, cast_column
from streaming.merge.fold import SUM_OVERFLOW, fold_rows, fold_sum
from streaming.merge.step import CREATED, OUTCOMES, REJECTED, SKIPPED, UNCHANGED, UNDECIDED, UPDATED, Profiles, Step
from streaming.merge.vectors import Mask, Places, bools, differs, item_keys, null_where, put, take

SMALL_ROUND = 24
"""Below this many rows a round in columns costs more than folding them one by one."""


@dataclass(frozen=True, slots=True)
class Merged:
    profiles: Profiles
    outcomes: Outcomes
    rejects: list[Reject]


def distinct_addresses(rows: pa.RecordBatch) -> tuple[list[bytes], Places]:
    """The addresses of a batch in first-seen order, and for each row the place of its own."""
    encoded = rows.column("address").cast(pa.binary()).dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def merge_batch(rows: pa.RecordBatch, addresses: list[bytes], codes: Places, blobs: list[bytes | None], plan: ImportPlan) -> Merged:
    """Merge `rows` into the stored records `blobs` of `addresses`. Raises UnsupportedFormatError for a record of a newer format."""
    columns = decode_records(blobs, plan.width)
    exists = np.fromiter((blob is not None for blob in blobs), bool, len(blobs))
    profiles = Profiles(addresses, columns, exists, np.zeros(len(blobs), bool))
    places = {column: str(place) for place, column in enumerate(plan.columns)}
    casts = [cast_column(rows.column(places[mapping.column]), mapping, plan.cells) for mapping in plan.mappings]
    step = Step(plan, profiles, codes, casts, np.full(rows.num_rows, UNDECIDED, np.int8), {})
    _judge_cells(step)
    _merge_rounds(step, np.flatnonzero(step.outcome == UNDECIDED))
    return Merged(profiles, _count(step), _rejects(step, rows))


def _judge_cells(step: Step) -> None:
    if step.plan.on_bad_cell == "reject_row":
        for cast in step.casts:
            step.outcome[list(cast.bad)] = REJECTED


def _merge_rounds(step: Step, rows: Places) -> None:
    """All rows, in rounds: the k-th row of each address in round k."""
    if not step.plan.allow_creation:
        absent = ~step.profiles.exists[step.codes[rows]]
        step.outcome[rows[absent]] = SKIPPED
        rows = rows[~absent]
    ranks = _occurrence(step.codes[rows])
    sizes = np.bincount(ranks) if len(ranks) else np.zeros(0, np.int64)
    for number, size in enumerate(sizes):
        if size < SMALL_ROUND:
            fold_rows(step, rows[ranks >= number])
            return
        _merge_round(step, rows[ranks == number])


def _occurrence(codes: Places) -> Places:
    """For each place, how often its code came before."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    fresh = np.concatenate(([True], ordered[1:] != ordered[:-1])) if len(ordered) else np.zeros(0, bool)
    starts = np.maximum.accumulate(np.where(fresh, np.arange(len(ordered)), 0))
    ranks = np.empty(len(codes), np.int64)
    ranks[order] = np.arange(len(ordered)) - starts
    return ranks


def _merge_round(step: Step, rows: Places) -> None:
    """One row for each of some addresses."""
    profiles, plan = step.profiles, step.plan
    rows = rows[np.argsort(step.codes[rows], kind="stable")]
    codes = step.codes[rows]
    merged: dict[str, Any] = {}
    refused = np.zeros(len(rows), bool)
    for mapping, cast in zip(plan.mappings, step.casts, strict=True):
        old = take(profiles.columns[str(mapping.property_id)], codes)
        new = take(cast.values, rows)
        value, overflow = _apply(mapping, old, new)
        if overflow is not None:
            step.overflow.setdefault(mapping.column, []).extend(rows[overflow].tolist())
            if plan.on_bad_cell == "reject_row":
                refused |= overflow
        if mapping.blank == "clear":
            value = null_where(value, cast.blank[rows])
        merged[str(mapping.property_id)] = old, value
    changed = np.zeros(len(rows), bool)
    for old, value in merged.values():
        changed |= differs(old, value)
    changed &= ~refused
    existed = profiles.exists[codes]
    step.outcome[rows] = np.where(refused, REJECTED, np.where(existed, np.where(changed, UPDATED, UNCHANGED), CREATED))
    for name, (_, value) in merged.items():
        profiles.columns[name] = put(profiles.columns[name], codes, value, ~refused)
    profiles.changed[codes] |= changed | (~existed & ~refused)
    profiles.exists[codes] |= ~refused


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
    keys = item_keys(rows, items)
    there = len(before.flatten())
    fresh = np.flatnonzero(~np.isin(keys[there:], keys[:there])) + there
    if not len(fresh):
        return old
    counts = np.bincount(rows[fresh], minlength=len(old))
    ends = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    added = pc.binary_join(pa.ListArray.from_arrays(pa.array(ends), items.take(pa.array(fresh))), ITEM)
    return pc.if_else(pa.array(counts > 0), pc.binary_join_element_wise(old, added, ITEM), old)


_SAFE = pa.decimal128(37, FRACTION_DIGITS)
"""One digit less than numbers may have: two of these add up to one that is in range."""


def _sum(old: pa.StringArray, new: pa.StringArray) -> tuple[pa.StringArray, Mask | None]:
    try:
        total = pc.add(pc.fill_null(old, "0").cast(_SAFE), pc.fill_null(new, "0").cast(_SAFE))
    except pa.ArrowInvalid:  # a number of 38 digits: one by one
        return _sum_slowly(old, new)
    return pc.if_else(pc.is_valid(new), canonical_numbers(total), old), None


def _sum_slowly(old: pa.StringArray, new: pa.StringArray) -> tuple[pa.StringArray, Mask]:
    totals = [fold_sum(a, b) for a, b in zip(old.to_pylist(), new.to_pylist(), strict=True)]
    overflow = np.fromiter((total is SUM_OVERFLOW for total in totals), bool, len(totals))
    kept = [a if total is SUM_OVERFLOW else total for a, total in zip(old.to_pylist(), totals, strict=True)]
    return pa.array(kept, pa.string()), overflow


def _count(step: Step) -> Outcomes:
    counts = np.bincount(step.outcome, minlength=len(OUTCOMES)).tolist()
    cells = sum(len(cast.bad) for cast in step.casts) + sum(map(len, step.overflow.values()))
    return Outcomes(**{outcome.value: counts[place] for place, outcome in enumerate(OUTCOMES)}, cells=cells)


def _rejects(step: Step, rows: pa.RecordBatch) -> list[Reject]:
    """Every rejected cell, in file order."""
    found = [
        (row, mapping.column, reason)
        for mapping, cast in zip(step.plan.mappings, step.casts, strict=True)
        for row, reason in cast.bad.items()
    ]
    found += [(row, column, Reason.SUM_OVERFLOW) for column, places in step.overflow.items() for row in places]
    if not found:
        return []
    lines, offsets = rows.column("line"), rows.column("offset")
    found.sort(key=lambda one: one[0])
    return [Reject(lines[row].as_py(), offsets[row].as_py(), column, reason) for row, column, reason in found]
