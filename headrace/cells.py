"""How one cell is read as a value of its property's type: the definition, one cell at a time.

`streaming/merge/cast.py` reads whole columns and must agree with this for every text; a property test compares the two.

A value is canonical text: numbers without superfluous zeros (`-0.5`), dates as `2026-01-31`, date-times in UTC as `2026-01-31T09:00:00Z`
(with six decimals where there is a fraction), booleans as `true` and `false`, e-mails lowercased. A list is a tuple of such texts.

Besides the types of properties there are two of cells alone, for texts that an upload job checks and stores as they are written: `numeral`, a text that
is a number (`007`), and `phone` (SPEC U3, U9).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from headrace.outcomes import Reason

BLANKS = " \t\n\r\x0b\x0c\xa0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\ufeff"
"""What trimming removes. Spelled out, so that Python and Arrow trim the same."""

INTEGER_DIGITS = 26
FRACTION_DIGITS = 12
NUMBER_LIMIT = Decimal(10) ** INTEGER_DIGITS
"""Numbers have 38 digits, 12 of them after the point (SPEC M7): below this in absolute value."""

TRUE = frozenset({"true", "yes", "1"})
FALSE = frozenset({"false", "no", "0"})

_NUMBER = {separator: re.compile(rf"[+-]?(?:[0-9]+(?:{re.escape(separator)}[0-9]*)?|{re.escape(separator)}[0-9]+)") for separator in ".,"}


@dataclass(frozen=True, slots=True)
class CellFormat:
    """How a file writes values (SPEC I7–I9). `multi_value` None: a cell holds one value. `phone_region`: the country of phone numbers that begin without
    `+`, two letters; empty: such are none."""

    decimal: str = "."
    multi_value: str | None = None
    date_format: str = "%Y-%m-%d"
    datetime_format: str = "%Y-%m-%d %H:%M:%S"
    time_zone: str = "UTC"
    phone_region: str = ""


def canonical_number(number: Decimal) -> str:
    """The one way a number is written: no exponent, no superfluous zero, no negative zero."""
    text = f"{number:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def read_number(text: str, cell_format: CellFormat) -> str | Reason:
    if not _NUMBER[cell_format.decimal].fullmatch(text):
        return Reason.NOT_A_NUMBER
    number = Decimal(text.replace(",", "."))
    whole, _, fraction = canonical_number(number).lstrip("-").partition(".")
    if len(whole) > INTEGER_DIGITS or len(fraction) > FRACTION_DIGITS:
        return Reason.NUMBER_OUT_OF_RANGE
    return canonical_number(number)


LONGEST_MOMENT_KEPT = 64
"""Characters. Dates repeat, so what they read as is kept; a column of something else must not fill the memory."""


def _strptime(text: str, pattern: str) -> datetime | None:
    return _kept_moment(text, pattern) if len(text) <= LONGEST_MOMENT_KEPT else _moment(text, pattern)


def _moment(text: str, pattern: str) -> datetime | None:
    try:
        return datetime.strptime(text, pattern)  # the zone, if any, is the pattern's own or the file's: see read_datetime
    except ValueError:
        return None


_kept_moment = lru_cache(maxsize=65_536)(_moment)


def read_date(text: str, cell_format: CellFormat) -> str | Reason:
    moment = _strptime(text, cell_format.date_format)
    return Reason.NOT_A_DATE if moment is None else moment.date().isoformat()


def read_datetime(text: str, cell_format: CellFormat) -> str | Reason:
    """SPEC I9: stored in UTC; a local time that occurs twice is the earlier one, one that does not exist is rejected."""
    moment = _strptime(text, cell_format.datetime_format)
    if moment is None:
        return Reason.NOT_A_DATE_TIME
    if moment.tzinfo is None:
        local = moment.replace(tzinfo=ZoneInfo(cell_format.time_zone), fold=0)
        try:
            utc = local.astimezone(UTC)
            if utc.astimezone(local.tzinfo).replace(tzinfo=None) != moment:
                return Reason.NONEXISTENT_LOCAL_TIME
        except OverflowError:
            return Reason.NOT_A_DATE_TIME
    else:
        try:
            utc = moment.astimezone(UTC)
        except OverflowError:
            return Reason.NOT_A_DATE_TIME
    return canonical_datetime(utc)


def canonical_datetime(utc: datetime) -> str:
    fraction = f".{utc.microsecond:06d}" if utc.microsecond else ""
    return f"{utc.year:04d}-{utc.month:02d}-{utc.day:02d}T{utc.hour:02d}:{utc.minute:02d}:{utc.second:02d}{fraction}Z"


def small_email(text: str) -> str:
    """NFC twice: a capital and its mark may have no character of their own where the small letter has one. What is stored must read as itself."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())


def read_email(text: str, _cell_format: CellFormat) -> str | Reason:
    text = small_email(text)
    try:
        validate_email(text, check_deliverability=False, globally_deliverable=False, strict=False)
    except EmailNotValidError:
        return Reason.NOT_AN_EMAIL
    return text


def read_boolean(text: str, _cell_format: CellFormat) -> str | Reason:
    if text.lower() in TRUE:
        return "true"
    return "false" if text.lower() in FALSE else Reason.NOT_A_BOOLEAN


def read_numeral(text: str, cell_format: CellFormat) -> str | Reason:
    """A number, kept as it is written: zeros in front may be part of an account number."""
    found = read_number(text, cell_format)
    return found if isinstance(found, Reason) else text


def read_phone(text: str, cell_format: CellFormat) -> str | Reason:
    """A possible phone number, kept as it is written. Possible, not assigned: which numbers are in use changes faster than any release knows."""
    try:
        possible = phonenumbers.is_possible_number(phonenumbers.parse(text, cell_format.phone_region or None))
    except phonenumbers.NumberParseException:
        possible = False
    return text if possible else Reason.NOT_A_PHONE_NUMBER


_READERS: dict[str, Callable[[str, CellFormat], str | Reason]] = {
    "number": read_number,
    "date": read_date,
    "datetime": read_datetime,
    "email": read_email,
    "boolean": read_boolean,
    "numeral": read_numeral,
    "phone": read_phone,
}


def read_value(type_name: str, text: str, cell_format: CellFormat) -> str | Reason | None:
    """One value; None where the text is blank. Text is kept as it is written; the other types are trimmed first."""
    trimmed = text.strip(BLANKS)
    if not trimmed:
        return None
    reader = _READERS.get(type_name)
    return text if reader is None else reader(trimmed, cell_format)


def read_cell(type_name: str, text: str, cell_format: CellFormat) -> str | Reason | None:
    """The value of a cell for a property that holds one. Several values are too many (SPEC M11); None where the cell is blank."""
    if cell_format.multi_value is not None and cell_format.multi_value in text:
        parts = [part for part in text.split(cell_format.multi_value) if part.strip(BLANKS)]
        if len(parts) > 1:
            return Reason.SEVERAL_VALUES
        text = parts[0] if parts else ""
    return read_value(type_name, text, cell_format)


def read_list(type_name: str, text: str, cell_format: CellFormat) -> tuple[str, ...] | Reason | None:
    """The values of a cell for a property that holds several: unique, in first-seen order; one bad value rejects the cell. None if all blank."""
    parts = text.split(cell_format.multi_value) if cell_format.multi_value is not None else [text]
    values: dict[str, None] = {}
    for part in parts:
        value = read_value(type_name, part, cell_format)
        if isinstance(value, Reason):
            return value
        if value is not None:
            values[value] = None
    return tuple(values) or None


def read_identifier(type_name: str, text: str, cell_format: CellFormat) -> str | Reason | None:
    """An identifier's value, normalised for exact matching (SPEC M2): NFC and trimmed, e-mail lowercased. None where the cell is blank."""
    text = unicodedata.normalize("NFC", text).strip(BLANKS)
    value = read_cell(type_name, text, cell_format)
    if isinstance(value, Reason):
        return Reason.INVALID_IDENTIFIER
    if value is None:
        return None
    value = value.strip(BLANKS)  # again: it may be the one value among blank ones
    return Reason.INVALID_IDENTIFIER if any(character < " " for character in value) else value
