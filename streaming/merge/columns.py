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

from headrace.import_plan import ImportPlan
from headrace.outcomes import Outcomes, Reason, Reject
from profile_store.records import decode_records
from streaming.merge.cast import cast_bound, cast_column
from streaming.merge.claim import Round, claim_cells, intricate_rows
from streaming.merge.consent import judge_consent
from streaming.merge.fold import fold_rows
from streaming.merge.keep import keep_imported
from streaming.merge.rules import merged_values
from streaming.merge.step import CREATED, OUTCOMES, REJECTED, SKIPPED, UNCHANGED, UNDECIDED, UPDATED, ClaimedCells, Profiles, Step
from streaming.merge.undecided import current_prefix
from streaming.merge.vectors import Places, bools, differs, null_where, put, take

SMALL_ROUND = 24
"""Below this many rows a round in columns costs more than folding them one by one."""


@dataclass(frozen=True, slots=True)
class Merged:
    """`claimed`: the cells whose identifiers are to be claimed, their rows counted from 0 in the batch."""

    profiles: Profiles
    outcomes: Outcomes
    rejects: list[Reject]
    claimed: list[ClaimedCells]


def distinct_addresses(rows: pa.RecordBatch) -> tuple[list[bytes], Places]:
    """The addresses of a batch in first-seen order, and for each row the place of its own."""
    encoded = rows.column("address").cast(pa.binary()).dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def read_records(addresses: list[bytes], blobs: list[bytes | None], plan: ImportPlan, import_seq: int) -> Profiles:
    """The profiles at `addresses`, from their records. Raises UnsupportedFormatError for a record of a newer format."""
    columns = decode_records(blobs, plan.width)
    notes = columns["undecided"]
    if notes.null_count < len(notes):
        columns["undecided"] = null_where(notes, ~bools(pc.starts_with(notes, current_prefix(import_seq))))
    exists = np.fromiter((blob is not None for blob in blobs), bool, len(blobs))
    return Profiles(addresses, columns, exists, np.zeros(len(blobs), bool), np.zeros(len(blobs), bool))


def merge_rows(rows: pa.RecordBatch, codes: Places, profiles: Profiles, plan: ImportPlan, import_seq: int) -> Merged:
    """Merge `rows` into `profiles`, in place; `codes`: row → place of its profile. Rows are as the splitter cuts them."""
    places = {column: str(place) for place, column in enumerate(plan.columns)}
    casts = [cast_column(rows.column(places[mapping.column]), mapping, plan.cells) for mapping in plan.mappings]
    step = Step(
        plan,
        import_seq,
        profiles,
        codes,
        rows.column("link").to_numpy() if plan.has_several_links else np.zeros(rows.num_rows, np.int8),
        rows.column("line").to_numpy(),
        casts,
        [
            casts[one.mapping] if one.mapping is not None else cast_bound(rows.column(places[one.column]), one, plan.cells)
            for one in plan.bindings
        ],
        np.full(rows.num_rows, UNDECIDED, np.int8),
    )
    _judge_cells(step)
    # Who has not consented is told apart before what is wrong with a row: a withdrawal counts in a row that would be rejected, too.
    _merge_rounds(step, np.arange(rows.num_rows) if plan.objectives else np.flatnonzero(step.outcome == UNDECIDED))
    profiles.imported[codes[step.outcome <= UNCHANGED]] = True
    keep_imported(profiles, plan)
    return Merged(profiles, _count(step), _rejects(step, rows), step.claimed)


def _judge_cells(step: Step) -> None:
    if step.plan.on_bad_cell == "reject_row":
        for cast in step.each_cast():
            step.outcome[list(cast.bad)] = REJECTED


def _merge_rounds(step: Step, rows: Places) -> None:
    """All rows, in rounds: the k-th row of each address in round k."""
    if not step.plan.allow_creation:
        absent = ~step.profiles.exists[step.codes[rows]]
        away = judge_consent(step, rows[absent]) if step.plan.objectives else rows[absent]
        step.outcome[away] = SKIPPED
        rows = rows[~absent]
    ranks = _occurrence(step.codes[rows])
    sizes = np.bincount(ranks) if len(ranks) else np.zeros(0, np.int64)
    for number, size in enumerate(sizes):
        if size < SMALL_ROUND:
            fold_rows(step, rows[ranks >= number])
            return
        here = rows[ranks == number]
        if step.plan.objectives:
            here = judge_consent(step, here)
        intricate = intricate_rows(step, here)
        if intricate.any():
            fold_rows(step, here[intricate])
            here = here[~intricate]
        if len(here):
            _merge_round(step, here)


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
        value, overflow = merged_values(mapping, old, cast, rows)
        if overflow is not None:
            step.overflow.setdefault((mapping.column, mapping.property), []).extend(rows[overflow].tolist())
            if plan.on_bad_cell == "reject_row":
                refused |= overflow
        merged[str(mapping.property_id)] = old, value
    changed = np.zeros(len(rows), bool)
    by_identifiers = changed.copy()
    for mapping in plan.mappings:
        differing = differs(*merged[str(mapping.property_id)])
        if mapping.identifier:
            by_identifiers |= differing
        else:
            changed |= differing
    existed = profiles.exists[codes]
    if plan.bindings:
        in_doubt = existed & ~changed
        claim_cells(step, Round(rows, codes, ~refused, in_doubt), {name: old for name, (old, _) in merged.items()})
    changed = (changed | by_identifiers) & ~refused
    step.outcome[rows] = np.where(refused, REJECTED, np.where(existed, np.where(changed, UPDATED, UNCHANGED), CREATED))
    for name, (_, value) in merged.items():
        profiles.columns[name] = put(profiles.columns[name], codes, value, ~refused)
    profiles.changed[codes] |= changed | (~existed & ~refused)
    profiles.exists[codes] |= ~refused


def _count(step: Step) -> Outcomes:
    counts = np.bincount(step.outcome, minlength=len(OUTCOMES)).tolist()
    cells = sum(len(cast.bad) for cast in step.each_cast())
    cells += sum(map(len, step.overflow.values())) + sum(map(len, step.conflicts.values()))
    return Outcomes(**{outcome.value: counts[place] for place, outcome in enumerate(OUTCOMES)}, cells=cells)


def _rejects(step: Step, rows: pa.RecordBatch) -> list[Reject]:
    """Every rejected cell, in file order."""
    cells = {id(cast): ((one.column, one.property), cast) for one, cast in zip(step.plan.bindings, step.bound, strict=True)}
    cells |= {id(cast): ((one.column, one.property), cast) for one, cast in zip(step.plan.mappings, step.casts, strict=True)}
    found = [(row, cell, reason) for cell, cast in cells.values() for row, reason in cast.bad.items()]
    found += [(row, cell, Reason.SUM_OVERFLOW) for cell, places in step.overflow.items() for row in places]
    found += [(row, cell, Reason.IDENTIFIER_CONFLICT) for cell, places in step.conflicts.items() for row in places]
    if not found:
        return []
    lines, offsets = rows.column("line"), rows.column("offset")
    found.sort(key=lambda one: one[0])
    return [Reject(lines[row].as_py(), offsets[row].as_py(), column, reason, name) for row, (column, name), reason in found]
