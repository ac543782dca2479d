"""The rules on stored values, one row after the other: for the few profiles that have many rows in one batch."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa

from headrace.cells import NUMBER_LIMIT, canonical_number
from headrace.consent import has_consented
from profile_store.records import ITEM, unpacked_addresses
from streaming.merge.identifiers import Effect, Identifiers
from streaming.merge.step import CREATED, REJECTED, SKIPPED, UNCHANGED, UNDECIDED, UPDATED, ClaimedCells, Step
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


@dataclass(slots=True)
class _Folding:
    """A profile while its rows are folded. `values`: of each mapping, in order; `consents`: where no mapping changes them."""

    values: list[str | None]
    identifiers: Identifiers | None = None
    consents: str | None = None


def fold_rows(step: Step, rows: Places) -> None:
    """Fold `rows` in order into the profiles of `step`, in place."""
    profiles, plan = step.profiles, step.plan
    touched = np.unique(step.codes[rows])
    names = [str(mapping.property_id) for mapping in plan.mappings]
    states = _foldings(step, touched, names)
    cells = [cast.values.take(pa.array(rows)).to_pylist() for cast in step.casts]
    bound = [cast.values.take(pa.array(rows)).to_pylist() for cast in step.bound]
    claimed: dict[int, list[tuple[int, int, str]]] = {}
    for position, row in enumerate(rows.tolist()):
        code = int(step.codes[row])
        state = states[code]
        existed = bool(profiles.exists[code])
        after, overflowed = _fold_row(step, state.values, [column[position] for column in cells], row)
        if plan.objectives and not _goes_on(step, state, after, row):
            continue
        for cell in overflowed:
            step.overflow.setdefault(cell, []).append(row)
        if overflowed and plan.on_bad_cell == "reject_row":
            step.outcome[row] = REJECTED
            continue
        changed = after != state.values
        state.values = after
        if state.identifiers is not None:
            effects = _fold_identifiers(step, state, [column[position] for column in bound], row)
            changed |= any(effect.changes and effect.noted is None for effect in effects.values())
            for place, effect in effects.items():
                if effect.claim:
                    claimed.setdefault(place, []).append((row, code, bound[place][position]))
                if effect.denied:
                    binding = plan.bindings[place]
                    step.conflicts.setdefault((binding.column, binding.property), []).append(row)
                if effect.noted is not None:
                    effect.noted.in_doubt = existed and not changed
            profiles.changed[code] |= any(effect.noted is not None for effect in effects.values())
            changed |= any(effect.changes for effect in effects.values())
        step.outcome[row] = (UPDATED if changed else UNCHANGED) if existed else CREATED
        profiles.exists[code] = True
        profiles.changed[code] |= changed or not existed
    for place, found in claimed.items():
        claim_rows, codes, values = zip(*found, strict=True)
        step.claimed.append(ClaimedCells(place, np.array(claim_rows), np.array(codes), list(values)))
    _put_back(step, touched, names, [states[int(code)] for code in touched])


def _foldings(step: Step, touched: Places, names: list[str]) -> dict[int, _Folding]:
    """The present state of each profile, by its place."""
    profiles, plan = step.profiles, step.plan
    indices = pa.array(touched)
    columns = [profiles.columns[name].take(indices).to_pylist() for name in names]
    found = {int(code): _Folding([column[at] for column in columns]) for at, code in enumerate(touched)}
    if plan.objectives and plan.consents_id is not None:
        for code, consents in zip(touched.tolist(), profiles.columns[str(plan.consents_id)].take(indices).to_pylist(), strict=True):
            found[code].consents = consents
    if plan.bindings:
        addresses, undecided = (profiles.columns[name].take(indices).to_pylist() for name in ("addresses", "undecided"))
        for at, code in enumerate(touched):
            state = found[int(code)]
            present = {
                one.property_id: state.values[one.mapping]
                for one in plan.bindings
                if one.mapping is not None and one.property_id is not None
            }
            state.identifiers = Identifiers(plan, profiles.addresses[code], present, unpacked_addresses(addresses[at] or ""), undecided[at])
    return found


def _goes_on(step: Step, state: _Folding, after: list[Any], row: int) -> bool:
    """As `streaming.merge.consent.judge_consent`, for one row; `after`: the values that it gives."""
    place = step.plan.consent_mapping
    consents = state.consents if place is None else after[place]
    if consents is not None and has_consented(consents.split(ITEM), step.plan.objectives):
        return bool(step.outcome[row] == UNDECIDED)
    step.forget_cells((row,))
    step.outcome[row] = SKIPPED
    if place is not None and step.profiles.exists[step.codes[row]] and consents != state.values[place]:
        step.outcome[row] = UPDATED
        step.profiles.changed[step.codes[row]] = True
        state.values[place] = consents
    return False


def _put_back(step: Step, touched: Places, names: list[str], states: list[_Folding]) -> None:
    columns = step.profiles.columns
    everywhere = np.ones(len(touched), bool)
    for at, name in enumerate(names):
        columns[name] = put(columns[name], touched, pa.array([state.values[at] for state in states], pa.string()), everywhere)
    if step.plan.bindings:
        kept = [state.identifiers for state in states if state.identifiers is not None]
        addresses = pa.array([one.addresses() for one in kept], pa.string())
        undecided = pa.array([one.undecided(step.import_seq) for one in kept], pa.string())
        columns["addresses"] = put(columns["addresses"], touched, addresses, everywhere)
        columns["undecided"] = put(columns["undecided"], touched, undecided, everywhere)


def _fold_identifiers(step: Step, state: _Folding, cells: list[str | None], row: int) -> dict[int, Effect]:
    """The row's identifier cells: binding → what each did. Their values go into the state."""
    identifiers, found = state.identifiers, dict[int, Effect]()
    assert identifiers is not None
    used, line = int(step.used[row]), int(step.lines[row])
    for place, (binding, cell) in enumerate(zip(step.plan.bindings, cells, strict=True)):
        if cell is not None:
            found[place] = identifiers.put(place, cell, line, used)
        elif binding.blank == "clear" and step.bound[place].blank[row]:
            found[place] = identifiers.clear(place, line)
    for binding in step.plan.bindings:
        if binding.mapping is not None and binding.property_id is not None:
            state.values[binding.mapping] = identifiers.present[binding.property_id]
    return found


def _fold_row(step: Step, before: list[Any], cells: list[str | None], row: int) -> tuple[list[Any], list[tuple[str, str]]]:
    """The values after one row, identifiers apart, and the cells (column, property) whose sum is out of range."""
    after, overflowed = list(before), list[tuple[str, str]]()
    for place, (mapping, cell) in enumerate(zip(step.plan.mappings, cells, strict=True)):
        if mapping.identifier:
            continue
        if cell is None:
            if mapping.blank == "clear" and step.casts[place].blank[row]:
                after[place] = None
            continue
        value = fold_value(mapping.rule, before[place], cell)
        if isinstance(value, _Overflow):
            overflowed.append((mapping.column, mapping.property))
        else:
            after[place] = value
    return after, overflowed
