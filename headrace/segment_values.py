"""How a segment compares a property's values: which comparisons there are, which types take them, and how the values in a definition read. SPEC S3.

What no profile value satisfies is never an error of a profile: an absent value satisfies no comparison, but `exclusive` and `not_between`, which are the
opposites of `inclusive` and `between` for every profile. A list satisfies a comparison when one of its values does.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal, get_args

from headrace.cells import BLANKS, CellFormat, canonical_datetime, read_value, small_email
from headrace.domains import Property, PropertyType
from headrace.outcomes import Reason

Comparison = Literal[
    "inclusive",
    "exclusive",
    "contains",
    "begins_with",
    "ends_with",
    "before",
    "after",
    "on",
    "between",
    "not_between",
    "greater_than",
    "less_than",
    "greater_than_or_equal",
    "less_than_or_equal",
    "equal",
    "list_contains",
    "list_contains_all",
]

MOST_TEXT = 1000
"""Characters of a value in a definition."""

Kind = Literal["equality", "text", "moment", "number", "range", "list"]

_TYPES: dict[Kind, tuple[PropertyType, ...]] = {
    "equality": get_args(PropertyType),
    "text": ("text", "email"),
    "moment": ("date", "datetime"),
    "number": ("number",),
    "range": ("number", "date", "datetime"),
    "list": get_args(PropertyType),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """`values`: how many a comparison takes; None: as many as there are, any of them will do (all of them for list_contains_all)."""

    kind: Kind
    values: int | None = None


COMPARISONS: dict[Comparison, Rule] = {
    "inclusive": Rule("equality"),
    "exclusive": Rule("equality"),
    "contains": Rule("text"),
    "begins_with": Rule("text"),
    "ends_with": Rule("text"),
    "before": Rule("moment", 1),
    "after": Rule("moment", 1),
    "on": Rule("moment"),
    "between": Rule("range", 2),
    "not_between": Rule("range", 2),
    "greater_than": Rule("number", 1),
    "less_than": Rule("number", 1),
    "greater_than_or_equal": Rule("number", 1),
    "less_than_or_equal": Rule("number", 1),
    "equal": Rule("number"),
    "list_contains": Rule("list"),
    "list_contains_all": Rule("list"),
}

NEGATIVE: dict[Comparison, Comparison] = {"exclusive": "inclusive", "not_between": "between"}
"""Comparisons that hold exactly where another does not, of profiles without a value too."""

Bound = Decimal | date | datetime
_FORMAT = CellFormat()
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,6})?Z")
_WANTED = {
    "number": "a number like 12.5",
    "date": "a date like 1998-12-31",
    "datetime": "a date like 1998-12-31, or a date-time in UTC like 1998-12-31T09:00:00Z",
    "email": "an e-mail address",
    "boolean": "true or false",
}


def comparisons_of(one: Property) -> list[Comparison]:
    """Those that a property takes."""
    return [name for name, rule in COMPARISONS.items() if one.type in _TYPES[rule.kind] and (rule.kind != "list" or one.multiple)]


def value_problem(one: Property, comparison: Comparison, text: str) -> str | None:
    """What is wrong with a value of a definition, for a property that takes the comparison; the value is not repeated."""
    if COMPARISONS[comparison].kind == "text" or one.type == "text":
        return None if text.strip(BLANKS) or COMPARISONS[comparison].kind == "text" else "is blank; no profile has a blank value"
    if one.type == "datetime":
        bad = read_moment(text) is None
    elif one.type == "date":
        bad = _read_day(text) is None
    else:
        found = read_value(one.type, text, _FORMAT)
        bad = found is None or isinstance(found, Reason)
    return f"is not {_WANTED[one.type]}" if bad else None


def canonical(one: Property, comparison: Comparison, text: str) -> str:
    """A value of a definition as profiles hold it; of a date-time property a whole day stays a day. For values without a problem."""
    if COMPARISONS[comparison].kind == "text":
        if one.type == "email":
            return small_email(text)
        return unicodedata.normalize("NFC", text) if one.identifier else text
    if one.type == "text":
        return unicodedata.normalize("NFC", text).strip(BLANKS) if one.identifier else text
    if one.type == "datetime":
        found = read_moment(text)
        return text if not isinstance(found, datetime) else canonical_datetime(found)
    value = read_value(one.type, text, _FORMAT)  # of an e-mail address without the blanks around it, too
    if value is None or isinstance(value, Reason):
        raise ValueError(f"no value of a {one.type}")
    return value


def read_moment(text: str) -> date | datetime | None:
    """A day, or a moment in UTC; None where it is neither."""
    parts = _MOMENT.fullmatch(text)
    if parts is None:
        return _read_day(text)
    try:
        moment = datetime.fromisoformat(f"{parts[1]}T{parts[2]}")
    except ValueError:
        return None
    return moment + timedelta(microseconds=int((parts[3] or ".0")[1:].ljust(6, "0")))


def _read_day(text: str) -> date | None:
    if not _DAY.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


LAST_MOMENT_OF_A_DAY = timedelta(hours=24) - timedelta(microseconds=1)


def read_bounds(type_name: PropertyType, text: str) -> tuple[Bound, Bound]:
    """The first and the last value that a canonical value of a definition means: a day is all of its moments, in UTC, for a date-time property."""
    if type_name == "number":
        return Decimal(text), Decimal(text)
    found = read_moment(text)
    if found is None:
        raise ValueError("neither a date nor a date-time")
    if type_name == "datetime" and not isinstance(found, datetime):
        start = datetime(found.year, found.month, found.day)
        return start, start + LAST_MOMENT_OF_A_DAY
    return found, found


def before_or_at(first: Bound, second: Bound) -> bool:
    """Of two bounds, or values, of one type."""
    return bool(first <= second)  # type: ignore[operator]
