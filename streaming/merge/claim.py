"""The identifier cells of a round, in columns: which are claimed, and what the records note of it (`streaming.merge.undecided`).

In columns go the cells that most files have: the first value of a property, a value that is there already, a link that was used. Whatever has a history
(a value that replaces another, a second claim of the same import) is intricate, and folded row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.import_plan import Binding
from profile_store.records import ITEM
from streaming.merge.step import ClaimedCells, Step
from streaming.merge.undecided import CERTAIN, CLAIMED, IN_DOUBT, rule_of
from streaming.merge.vectors import Mask, Places, bools, put, take


@dataclass(frozen=True, slots=True)
class Round:
    """One row for each of some profiles. `kept`: rows that are not rejected; `in_doubt`: rows that nothing but identifiers may change."""

    rows: Places
    codes: Places
    kept: Mask
    in_doubt: Mask


def intricate_rows(step: Step, rows: Places) -> Mask:
    """Rows (each of another profile) whose identifier cells have a history."""
    found = np.zeros(len(rows), bool)
    columns, codes = step.profiles.columns, step.codes[rows]
    noted = _valid(columns["undecided"], codes)
    others = _valid(columns["addresses"], codes)
    for binding, cast in zip(step.plan.bindings, step.bound, strict=True):
        new = take(cast.values, rows)
        there = bools(pc.is_valid(new))
        used = _uses(step, binding, rows)
        if binding.property_id is None:
            found |= there & ~used
            continue
        old = take(columns[str(binding.property_id)], codes)
        had = bools(pc.is_valid(old))
        same = bools(pc.equal(old, new))
        replaces = there & had & ~same if binding.rule == "set" else np.zeros(len(rows), bool)
        found |= np.where(used, there & ~same & (noted | replaces), there & ~same & (had | noted | others))
        if binding.blank == "clear":
            found |= cast.blank[rows] & (had | noted)
    return found


def _valid(column: Any, codes: Places) -> Mask:
    return bools(pc.is_valid(take(column, codes))) if column.null_count < len(column) else np.zeros(len(codes), bool)


def _uses(step: Step, binding: Binding, rows: Places) -> Mask:
    """The rows that were linked by this very cell: its value is bound by having found, or made, the profile."""
    if binding.link is None:
        return np.zeros(len(rows), bool)
    uses: Mask = step.used[rows] == binding.link
    return uses


def claim_cells(step: Step, here: Round, old: dict[str, Any]) -> None:
    """Claim what rows without a history bring; `old`: property id → the values before the round."""
    undecided = step.profiles.columns["undecided"]
    noted = _valid(undecided, here.codes)
    in_doubt = here.in_doubt & ~_stored_by_link(step, here, old)
    notes = []
    for place, (binding, cast) in enumerate(zip(step.plan.bindings, step.bound, strict=True)):
        if binding.property_id is None:
            continue
        new = take(cast.values, here.rows)
        there = bools(pc.is_valid(new)) & here.kept & ~_uses(step, binding, here.rows)
        had = bools(pc.is_valid(old[str(binding.property_id)]))
        # One that is there already may be a claim of this import that is not decided: it is claimed again, so that a denial is counted for this row too.
        claimed = there & (~had | noted)
        if not claimed.any():
            continue
        at = np.flatnonzero(claimed)
        step.claimed.append(ClaimedCells(place, here.rows[at], here.codes[at], new.take(pa.array(at)).to_pylist()))
        if (fresh := there & ~had).any():
            notes.append(_notes(place, binding, fresh, step.lines[here.rows], in_doubt))
    if notes:
        lines = pc.binary_join_element_wise(pa.scalar(str(step.import_seq)), *notes, ITEM, null_handling="skip")
        some = np.logical_or.reduce([bools(pc.is_valid(one)) for one in notes])
        step.profiles.columns["undecided"] = put(undecided, here.codes, lines, some)


def _stored_by_link(step: Step, here: Round, old: dict[str, Any]) -> Mask:
    """Rows that store the value of the link that they used: a change that no denial undoes."""
    found = np.zeros(len(here.rows), bool)
    for binding in step.plan.bindings:
        if binding.property_id is not None and binding.link is not None:
            found |= _uses(step, binding, here.rows) & bools(pc.is_null(old[str(binding.property_id)]))
    return found


def _notes(place: int, binding: Binding, fresh: Mask, lines: Places, in_doubt: Mask) -> pa.StringArray:
    """A note of a cell whose value is the present one, where `fresh`."""
    doubt = pc.if_else(pa.array(in_doubt), IN_DOUBT, CERTAIN)
    texts = pc.binary_join_element_wise(f"{CLAIMED}{rule_of(binding)}", doubt, f"{place}:", pa.array(lines).cast(pa.string()), "")
    return pc.if_else(pa.array(fresh), texts, pa.scalar(None, pa.string()))
