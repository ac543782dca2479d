"""How a value is written in a cell, so that an import with the same settings reads it back (SPEC E9): the definition, one value at a time.

The other way of `headrace.cells`. `streaming/exporting/values.py` writes whole columns and must agree with this for every value; a property test
compares the two.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from headrace.cells import CellFormat
from headrace.formats import directives

FORMULA = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
"""A spreadsheet may run a cell that begins with one of these (SPEC E8)."""
FRACTIONS = "fractions of a second"
HARMLESS = "'"
"""Put in front of such a cell: spreadsheets then take it for text."""


def harmless(text: str) -> str:
    """As `spreadsheet_safe` writes a header, or a cell of text."""
    return f"{HARMLESS}{text}" if text[:1] in tuple(FORMULA) else text


def write_cell(type_name: str, value: str | tuple[str, ...], cell_format: CellFormat) -> str | None:
    """A stored value, a tuple of them for a list, as the cell says it.

    None where no cell would read as that value: an import would take one that holds the multi-value separator for several (SPEC I8), and a date-time
    at the calendar's end may have no local time.
    """
    separator = cell_format.multi_value
    items = value if isinstance(value, tuple) else (value,)
    written = []
    for item in items:
        text = write_value(type_name, item, cell_format)
        if text is None or (separator is not None and separator in text):
            return None
        written.append(text)
    return written[0] if separator is None else separator.join(written)


def write_value(type_name: str, value: str, cell_format: CellFormat) -> str | None:
    """One stored value; None for a date-time without a local time."""
    match type_name:
        case "number":
            return value.replace(".", cell_format.decimal)
        case "date":
            return _formatted(datetime.combine(date.fromisoformat(value), datetime.min.time()), cell_format.date_format)
        case "datetime":
            try:
                local = datetime.fromisoformat(value).astimezone(_zone(cell_format.time_zone))
                # An offset may lead out of the years that there are on the way back, too.
                local.astimezone(UTC)
            except OverflowError:
                return None
            return _formatted(local, cell_format.datetime_format)
        case _:
            return value


def loses(type_name: str, cell_format: CellFormat) -> str:
    """What the format does not say of values of this type, in words; empty where it says all: then every value imports back as it is."""
    if type_name == "date":
        return _two_digits(cell_format.date_format)
    if type_name != "datetime":
        return ""
    letters = {letter for _, letter in directives(cell_format.datetime_format)}
    lost = [_two_digits(cell_format.datetime_format)]
    lost += ["minutes"] if "M" not in letters else []
    lost += ["seconds"] if "S" not in letters else []
    lost += [FRACTIONS] if "f" not in letters else []
    if "z" not in letters and _changes_clocks(cell_format.time_zone):
        lost.append("which of the two it is where the clocks go back, without %z")
    return ", ".join(one for one in lost if one)


def _two_digits(pattern: str) -> str:
    letters = {letter for _, letter in directives(pattern)}
    return "the century" if letters & {"y"} and not letters & {"Y", "G"} else ""


def _formatted(moment: datetime, pattern: str) -> str:
    """By strftime, which pads no year on some machines, where strptime wants four digits on all."""
    year, week_year = f"{moment.year:04d}", f"{moment.isocalendar().year:04d}"
    parts, done = [], 0
    for position, letter in directives(pattern):
        parts.append(pattern[done : position - 1])
        done = position - 1 + len(f"%{letter}")
        parts.append({"Y": year, "G": week_year}.get(letter) or moment.strftime(f"%{letter}"))
    return "".join(parts) + pattern[done:]


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=64)
def _changes_clocks(name: str) -> bool:
    """Ever: of most zones the clocks were put right when standard time was introduced."""
    zone = _zone(name)
    return len({datetime(year, month, 1, tzinfo=zone).utcoffset() for year in range(1800, 2040) for month in range(1, 13)}) > 1
