"""How files write values: separators, decimals, dates, time zone, encoding. SPEC I6–I9, I11, E5, E6."""

from __future__ import annotations

import codecs
import difflib
from datetime import UTC, datetime
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from headrace.cells import CellFormat
from headrace.configuration_model import ConfigurationModel, Flag, Problem, refuse

DIRECTIVES = "aAbBdfGHIjmMpSuUVwWyYz%"
"""What strptime reads the same everywhere. Left out: %c %x %X (they depend on the locale) and %Z (zone names are ambiguous)."""

STATEFUL_ENCODINGS = ("iso2022", "hz", "utf-7")
"""A byte's meaning depends on all bytes before it, and a line end can't be found by itself."""

SAMPLES = (datetime(2023, 10, 25, 17, 48, 39, tzinfo=UTC), datetime(2019, 3, 31, 4, 7, 5, tzinfo=UTC))
"""Two moments that differ in every part, after noon and before: no default of strptime equals a part of both."""


def _one_character(text: object) -> object:
    if not isinstance(text, str):
        return text
    character = "\t" if text in ("tab", "\\t") else text
    if len(character) != 1:
        raise ValueError('must be exactly one character; write a tab as tab or "\\t"')
    if character in '"\r\n\0':
        raise ValueError("can't be a quote, a line end or a NUL: they have their own meaning in CSV; use another character")
    return character


Separator = Annotated[str, BeforeValidator(_one_character)]


def directives(pattern: str) -> list[tuple[int, str]]:
    """(position of the %, counted from 1, and the letter after it; empty at the end of the pattern) of each directive."""
    found = []
    at = 0
    while (at := pattern.find("%", at)) >= 0:
        found.append((at + 1, pattern[at + 1 : at + 2]))
        at += 2
    return found


def _known_directives(pattern: str) -> list[str]:
    letters = []
    for position, letter in directives(pattern):
        if not letter:
            raise ValueError(f"ends in a single % at position {position}; write %% for a percent sign")
        if letter in ("c", "x", "X", "Z"):
            advice = "use %z or time_zone" if letter == "Z" else "spell the parts out, like %Y-%m-%d %H:%M:%S"
            raise ValueError(f"directive %{letter} at position {position} does not mean the same on every machine; {advice}")
        if letter not in DIRECTIVES:
            name = f"%{letter}" if letter.isprintable() else "%"
            raise ValueError(f"unknown directive {name} at position {position}; use those of strptime, like %Y-%m-%d %H:%M:%S")
        if letter != "%" and letter in letters:
            raise ValueError(f"directive %{letter} at position {position} is there twice; a value can be read from one place only")
        letters.append(letter)
    return letters


def _reads_back(pattern: str, wanted: str) -> bool:
    """Whether what strftime writes is read back: to the same day, and to the same hour where `wanted` is "hour"."""
    try:
        for sample in SAMPLES:
            read = datetime.strptime(sample.strftime(pattern), pattern)
            if read.date() != sample.date() or (wanted == "hour" and read.hour != sample.hour):
                return False
    except ValueError:
        return False
    return True


def _date_format(pattern: str) -> str:
    if "z" in _known_directives(pattern):
        raise ValueError("a date has no time zone; leave %z out")
    if not _reads_back(pattern, "day"):
        raise ValueError("does not say year, month and day; use for example %Y-%m-%d or %d/%m/%Y")
    return pattern


def _datetime_format(pattern: str) -> str:
    _known_directives(pattern)
    if not _reads_back(pattern, "hour"):
        raise ValueError("does not say year, month, day and hour (%I needs %p); use for example %Y-%m-%d %H:%M:%S")
    return pattern


def time_zone(name: str) -> str:
    """Checks a name of the IANA time zone database. The machine's own files (`localtime`, `posix/…`) are refused: others lack them."""
    try:
        found = _portable(name) and bool(ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        found = False
    if not found:
        known = {zone.lower(): zone for zone in available_timezones() if _portable(zone)}
        near = difflib.get_close_matches(name.lower()[:64], known, 1)
        advice = f"did you mean {known[near[0]]}?" if near else "use a name like Europe/Amsterdam or UTC"
        raise ValueError(f"is not a time zone of the IANA database; {advice}")
    return name


def _portable(name: str) -> bool:
    return name not in ("", "localtime", "posixrules", "Factory") and not name.startswith(("posix/", "right/"))


def _encoding(name: str) -> str:
    """The codec's own name, so that UTF8 and utf-8 are one configuration."""
    try:
        canonical = codecs.lookup(name).name
        "a".encode(canonical)  # LookupError for codecs between bytes and bytes: hex, zlib…
    except (LookupError, ValueError):
        canonical = ""
    if canonical in ("", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined"):
        raise ValueError("is not a text encoding; use for example utf-8, utf-16, iso-8859-1 or cp1252")
    if canonical.startswith(STATEFUL_ENCODINGS):
        raise ValueError("keeps state from byte to byte, so that one fault would spoil the rest of a file; convert the files to utf-8")
    return canonical


DateFormat = Annotated[str, AfterValidator(_date_format)]
DateTimeFormat = Annotated[str, AfterValidator(_datetime_format)]
TimeZone = Annotated[str, AfterValidator(time_zone)]
Encoding = Annotated[str, AfterValidator(_encoding)]


class ValueFormat(ConfigurationModel):
    """What reading and writing have in common.

    `decimal` may equal `separator`: such cells are quoted (`"1,5",x`), which RFC 4180 allows and spreadsheets of many countries write.
    """

    separator: Separator = Field(default=",", description='one character between fields; tab or "\\t" for a tab (SPEC I6)')
    decimal: Literal[".", ","] = Field(default=".", description="before the fraction of a number: a point or a comma (SPEC I7)")
    multi_value: Separator | None = Field(
        default=None, description="one character between values inside a cell; absent: a cell is one value (SPEC I8)"
    )
    date_format: DateFormat = Field(default="%Y-%m-%d", description="of dates, in strptime's directives (SPEC I9)")
    datetime_format: DateTimeFormat = Field(default="%Y-%m-%d %H:%M:%S", description="of date-times, in strptime's directives (SPEC I9)")
    time_zone: TimeZone = Field(default="UTC", description="of date-times that carry no offset: a name of the IANA database (SPEC I9)")

    @model_validator(mode="after")
    def _separators_differ(self) -> Self:
        if self.multi_value == self.separator:
            refuse([Problem(("multi_value",), "must differ from the field separator; use another character, for example |")])
        return self

    @property
    def cells(self) -> CellFormat:
        return CellFormat(self.decimal, self.multi_value, self.date_format, self.datetime_format, self.time_zone)


class FileFormat(ValueFormat):
    """How imported files are read. SPEC I6–I9, I11."""

    encoding: Encoding = Field(default="utf-8", description="of the file; a byte order mark is stripped (SPEC I11)")


class ExportFormat(ValueFormat):
    """How exported files are written, always in UTF-8. SPEC E5, E6, E8."""

    compression: Literal["none", "gzip"] = Field(default="none", description="of the whole file (SPEC E6)")
    spreadsheet_safe: Flag = Field(
        default=False, description="neutralise text cells and headers that a spreadsheet would run as a formula; changes data (SPEC E8)"
    )
