"""The four rules and the import of rows into profiles, one row after the other: the oracle.

This is what an import means (SPEC M2–M7, M11, M12, R4). The workers do the same in columns, in parallel; tests hold them to this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal

from headrace.cells import NUMBER_LIMIT, CellFormat, canonical_number, read_cell, read_identifier, read_list
from headrace.import_plan import ImportPlan, PlannedMapping
from headrace.outcomes import Outcome, Outcomes, Reason

Value = str | tuple[str, ...]
Profile = dict[str, Value]

_EXACT = Context(prec=80)


def set_value(_old: Value | None, new: Value) -> Value:
    """SPEC M4."""
    return new


def set_if_empty(old: Value | None, new: Value) -> Value:
    """SPEC M5."""
    return new if old is None else old


def add_values(old: Value | None, new: Value) -> Value:
    """SPEC M6: a list of unique values in first-seen order."""
    return tuple(dict.fromkeys((*(old or ()), *new)))


def sum_values(old: Value | None, new: Value) -> Value | Reason:
    """SPEC M7: exact; an empty property counts as 0; out of range rejects the cell."""
    if isinstance(old, tuple) or isinstance(new, tuple):
        raise TypeError("sum is for properties that hold one number")
    total = _EXACT.add(Decimal(old or 0), Decimal(new))
    return Reason.SUM_OVERFLOW if abs(total) >= NUMBER_LIMIT else canonical_number(total)


def apply_rule(rule: str, old: Value | None, new: Value) -> Value | Reason:
    match rule:
        case "set":
            return set_value(old, new)
        case "set_if_empty":
            return set_if_empty(old, new)
        case "add":
            return add_values(old, new)
        case "sum":
            return sum_values(old, new)
        case _:
            raise ValueError(f"no such rule: {rule}")


@dataclass
class OracleResult:
    """What importing rows gave: `outcomes` counts rows, `rejects` lists (row index, column or None, reason)."""

    counts: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    rejects: list[tuple[int, str | None, Reason]] = field(default_factory=list)

    @property
    def outcomes(self) -> Outcomes:
        cells = sum(1 for _, column, _ in self.rejects if column is not None)
        return Outcomes(**{outcome.value: count for outcome, count in self.counts.items()}, cells=cells)


def import_rows(profiles: dict[bytes, Profile], rows: Iterable[Mapping[str, str]], plan: ImportPlan) -> OracleResult:
    """Import rows (column name → cell) into `profiles` (address → profile), in place, in order."""
    result = OracleResult()
    for index, row in enumerate(rows):
        outcome, rejects = import_row(profiles, row, plan)
        result.counts[outcome] += 1
        result.rejects.extend((index, column, reason) for column, reason in rejects)
    return result


def import_row(profiles: dict[bytes, Profile], row: Mapping[str, str], plan: ImportPlan) -> tuple[Outcome, list[tuple[str | None, Reason]]]:
    """One row: its outcome, and the rejected (column, reason); column None rejects the row."""
    address = plan.address_of_row(row)
    if isinstance(address, Reason):
        return Outcome.REJECTED, [(None, address)]
    # First every cell is read, then the row is judged, then the values are merged: what is wrong with a file does not depend on the store.
    values = [(mapping, read_mapped(mapping, row[mapping.column], plan.cells)) for mapping in plan.mappings]
    rejects: list[tuple[str | None, Reason]] = [(mapping.column, value) for mapping, value in values if isinstance(value, Reason)]
    if rejects and plan.on_bad_cell == "reject_row":
        return Outcome.REJECTED, rejects
    before = profiles.get(address)
    if before is None and not plan.allow_creation:
        return Outcome.SKIPPED, rejects
    after: Profile = dict(before or {})
    for mapping, value in values:
        if isinstance(value, Reason):
            continue
        if value is None:
            if mapping.blank == "clear":
                after.pop(mapping.property, None)
            continue
        merged = apply_rule(mapping.rule, after.get(mapping.property), value)
        if isinstance(merged, Reason):
            rejects.append((mapping.column, merged))
        else:
            after[mapping.property] = merged
    if rejects and plan.on_bad_cell == "reject_row":
        return Outcome.REJECTED, rejects
    profiles[address] = after
    if before is None:
        return Outcome.CREATED, rejects
    return (Outcome.UNCHANGED if after == before else Outcome.UPDATED), rejects


def read_mapped(mapping: PlannedMapping, text: str, cells: CellFormat) -> Value | Reason | None:
    """The value that a mapped cell becomes."""
    if mapping.identifier:
        return read_identifier(mapping.type, text, cells)
    if mapping.multiple:
        return read_list(mapping.type, text, cells)
    return read_cell(mapping.type, text, cells)
