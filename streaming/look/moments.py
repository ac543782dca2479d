"""Which formats real values of a date, or of a date and time, are written in (SPEC I9)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Literal

from headrace.cells import CellFormat, read_value
from headrace.outcomes import Reason

MomentType = Literal["date", "datetime"]

COMMON: dict[MomentType, tuple[str, ...]] = {
    "date": (
        "%Y-%m-%d",
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%d-%m-%Y",
        "%d.%m.%Y",
        "%Y/%m/%d",
        "%Y%m%d",
        "%d/%m/%y",
        "%m/%d/%y",
        "%d %b %Y",
        "%d-%b-%Y",
        "%d %B %Y",
    ),
    "datetime": (
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%dT%H:%M:%S%z",
        "%Y-%m-%dT%H:%M:%S.%f",
        "%Y-%m-%dT%H:%M:%S.%f%z",
        "%Y-%m-%d %H:%M:%S%z",
        "%Y-%m-%d %H:%M:%S.%f",
        "%Y-%m-%d %H:%M",
        "%d/%m/%Y %H:%M:%S",
        "%d/%m/%Y %H:%M",
        "%m/%d/%Y %H:%M:%S",
        "%m/%d/%Y %H:%M",
        "%m/%d/%Y %I:%M:%S %p",
        "%d.%m.%Y %H:%M:%S",
        "%d.%m.%Y %H:%M",
        "%d-%m-%Y %H:%M:%S",
    ),
}
"""What is tried where the goal's own format does not read the values."""
FEW = 0.05
"""Of the values may be mistakes of the file, and say nothing against a format."""
COMPACT = "%Y%m%d"
"""Eight digits may just as well be a number: they are taken for a date only where every one is of these years."""
YEARS = ("1900", "2100")


def with_format(cells: CellFormat, kind: MomentType, pattern: str) -> CellFormat:
    return replace(cells, date_format=pattern) if kind == "date" else replace(cells, datetime_format=pattern)


def goal_format(cells: CellFormat, kind: MomentType) -> str:
    return cells.date_format if kind == "date" else cells.datetime_format


def fitting_formats(values: Iterable[str], kind: MomentType, cells: CellFormat) -> list[str]:
    """The common formats in which these values (not blank) read, a few perhaps apart; the first ones are the likelier."""
    some = list(values)
    return [pattern for pattern in COMMON[kind] if mostly(some, lambda value, pattern=pattern: reads_in(value, kind, pattern, cells))]  # type: ignore[misc]


def mostly(values: Sequence[str], reads: Callable[[str], bool]) -> bool:
    """Whether all of the values read, a few perhaps apart. False where there is none."""
    left = int(len(values) * FEW)
    for value in values:
        if not reads(value):
            left -= 1
            if left < 0:
                return False
    return bool(values)


def reads_in(value: str, kind: MomentType, pattern: str, cells: CellFormat) -> bool:
    if pattern == COMPACT and not (len(value.strip()) == 8 and YEARS[0] <= value.strip()[:4] <= YEARS[1]):
        return False
    return not isinstance(read_value(kind, value, with_format(cells, kind, pattern)), Reason)
