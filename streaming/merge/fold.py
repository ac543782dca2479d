"""The rules on stored values, one row after the other: for the few profiles that have many rows in one batch."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa

from headrace.cells import NUMBER_LIMIT, canonical_number
from profile_store.records import ITEM
from streaming.merge.step import CREATED, REJECTED, UNCHANGED, UPDATED, Step
from streaming.merge.vectors import Places, put

_EXACT = Context(prec=80)


class _Overflow:
    """The one value that says a sum is out of range."""


SUM_OVERFLOW: Final = _Overflow()


def fold_add(old: str, new: str) -> str:
    """SPEC M6, on lists in stored form."""
    return ITEM.join(dict.fromkeys((*old.split(ITEM), *new.split(ITEM))))


def fold_sum(old: str | None, new: str | None) -> str | _Overflow | None:
    """SPEC M7."""
    if new is None:
        return old
    total = _EXACT.add(Decimal(old or 0), Decimal(new))
    return SUM_OVERFLOW if abs(total) >= NUMBER_LIMIT else canonical_number(total)


def fold_value(rule: str, old: str | None, new: str) -> str | _Overflow | None:
    match rule:
        case "set":
            return new
        case "set_if_empty":
            return new if old is None else old
        case "add":
            return new if old is None else fold_add(old, new)
        case _:
            return fold_sum(old, new)


def fold_rows(step: Step, rows: Places) -> None:
    """Fold `rows` in order into the profiles of `step`, in place."""
    profiles, plan = step.profiles, step.plan
    touched = np.unique(step.codes[rows])
    places = {int(code): place for place, code in enumerate(touched)}
    indices = pa.array(touched)
    names = [str(mapping.property_id) for mapping in plan.mappings]
    states: list[list[str | None]] = [profiles.columns[name].take(indices).to_pylist() for name in names]
    cells = [cast.values.take(pa.array(rows)).to_pylist() for cast in step.casts]
    for position, row in enumerate(rows.tolist()):
        code = int(step.codes[row])
        place = places[code]
        before = [state[place] for state in states]
        after, overflowed = _fold_row(step, before, [column[position] for column in cells], row)
        existed = bool(profiles.exists[code])
        for column in overflowed:
            step.overflow.setdefault(column, []).append(row)
        if overflowed and plan.on_bad_cell == "reject_row":
            step.outcome[row] = REJECTED
            continue
        for state, value in zip(states, after, strict=True):
            state[place] = value
        step.outcome[row] = (UPDATED if after != before else UNCHANGED) if existed else CREATED
        profiles.exists[code] = True
        profiles.changed[code] |= after != before or not existed
    everywhere = np.ones(len(touched), bool)
    for name, state in zip(names, states, strict=True):
        profiles.columns[name] = put(profiles.columns[name], touched, pa.array(state, pa.string()), everywhere)


def _fold_row(step: Step, before: list[Any], cells: list[str | None], row: int) -> tuple[list[Any], list[str]]:
    """The values after one row, and the columns whose sum is out of range."""
    after, overflowed = list(before), []
    for place, (mapping, cell) in enumerate(zip(step.plan.mappings, cells, strict=True)):
        if cell is None:
            if mapping.blank == "clear" and step.casts[place].blank[row]:
                after[place] = None
            continue
        value = fold_value(mapping.rule, before[place], cell)
        if isinstance(value, _Overflow):
            overflowed.append(mapping.column)
        else:
            after[place] = value
    return after, overflowed
