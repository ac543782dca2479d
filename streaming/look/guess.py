"""What type a column's values seem to have (SPEC M8). A guess: a person decides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from headrace.cells import FALSE, TRUE, CellFormat, read_value
from headrace.domains import PropertyType
from headrace.outcomes import Reason
from streaming.look.moments import MomentType, fitting_formats, goal_format, mostly, reads_in

_LEADING_ZERO = re.compile(r"[+-]?0[0-9]+([.,][0-9]*)?")
_BOOLEAN_WORDS = (TRUE | FALSE) - {"1", "0"}
MOMENTS: tuple[MomentType, ...] = ("date", "datetime")


@dataclass(frozen=True, slots=True)
class Guess:
    """`multiple`: cells hold several values. `formats`: of a date or date-time, those that fit and are not the goal's; `remarks`: for people."""

    type: PropertyType
    multiple: bool = False
    formats: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def guess_type(cells: Sequence[str], cell_format: CellFormat) -> Guess:
    """Of a column of cells as they stand in the file. The goal's own formats are tried first, then common ones."""
    separator = cell_format.multi_value
    filled = [one for one in cells if one.strip()]
    multiple = separator is not None and any(sum(bool(part.strip()) for part in one.split(separator)) > 1 for one in filled)
    values = [part.strip() for one in filled for part in (one.split(separator) if separator else [one]) if part.strip()]
    return replace(_guess(values, cell_format), multiple=multiple)


def _guess(values: list[str], cell_format: CellFormat) -> Guess:
    if not values:
        return Guess("text", remarks=("it has no value in the rows looked at",))
    if mostly(values, lambda one: "@" in one and _reads(one, "email", cell_format)):
        return Guess("email")
    if mostly(values, lambda one: one.lower() in _BOOLEAN_WORDS):
        return Guess("boolean")
    for kind in MOMENTS:
        if mostly(values, lambda one, kind=kind: reads_in(one, kind, goal_format(cell_format, kind), cell_format)):  # type: ignore[misc]
            return Guess(kind)
    for kind in MOMENTS:
        if formats := fitting_formats(values, kind, cell_format):
            return Guess(kind, formats=tuple(formats), remarks=(_other_format(kind, formats, goal_format(cell_format, kind)),))
    if any(_LEADING_ZERO.fullmatch(one) for one in values) and mostly(values, lambda one: _reads(one, "number", cell_format)):
        return Guess("text", remarks=("its digits have leading zeros, which a number would lose",))
    if mostly(values, lambda one: _reads(one, "number", cell_format)):
        return Guess("number")
    other = "," if cell_format.decimal == "." else "."
    if mostly(values, lambda one: _reads(one, "number", replace(cell_format, decimal=other))):
        why = f"its numbers read with decimal: '{other}', while the goal has '{cell_format.decimal}'; thousands separators are never read"
        return Guess("number", remarks=(why,))
    return Guess("text")


def _reads(value: str, type_name: PropertyType, cell_format: CellFormat) -> bool:
    return not isinstance(read_value(type_name, value, cell_format), Reason)


def _other_format(kind: MomentType, formats: list[str], goals: str) -> str:
    which = " or ".join(f"'{one}'" for one in formats)
    several = "; only a person can tell which" if len(formats) > 1 else ""
    return f"its values read with {kind}_format: {which}{several}, while the goal has '{goals}'"
