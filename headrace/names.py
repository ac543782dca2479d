"""What names and other short texts of the configuration may look like."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator

from headrace.address import PROFILE_IDENTIFIER
from headrace.configuration_model import Problem, refuse, repeated, shown


def _matching(pattern: str, rule: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(rule)
        return text

    return AfterValidator(check)


ObjectName = Annotated[
    str,
    _matching(r"[a-zA-Z0-9_-]{1,64}", "is not a name; use 1 to 64 of the letters a-z and A-Z, digits, '_' and '-' (no blanks, no dots)"),
]
"""Of a domain, connection, group type, segment or objective: goes into Redis keys, topic names and file names (SPEC U2, S1)."""

GoalId = Annotated[str, _matching(r"[a-z0-9_-]{1,64}", "is not an id; use 1 to 64 of the letters a-z, digits, '_' and '-'")]

BlockName = Annotated[
    str,
    _matching(
        r"[a-z0-9]+(-[a-z0-9]+)*",
        "is not the name of a Prefect block; use small letters, digits and '-', and keep keys and secrets in the block, not here",
    ),
]


def _title(text: str) -> str:
    title = unicodedata.normalize("NFC", text).strip()
    if not 1 <= len(title) <= 255 or not title.isprintable():
        raise ValueError("must be 1 to 255 printable characters on one line")
    return title


Title = Annotated[str, AfterValidator(_title)]
"""A name for people: any printable text on one line."""


def _property_name(text: str) -> str:
    name = unicodedata.normalize("NFC", text)
    if not 1 <= len(name) <= 255 or not name.isprintable() or name != name.strip() or "=" in name:
        raise ValueError("is not a property name; use 1 to 255 printable characters, no '=', no blank at either end")
    if name == PROFILE_IDENTIFIER:
        raise ValueError(f"'{PROFILE_IDENTIFIER}' is Headrace's own id of a profile, not a property; choose another name")
    return name


PropertyName = Annotated[str, AfterValidator(_property_name)]
"""Any printable text, so that a column's own name can serve; NFC, since names match exactly. `profile get` writes `name=value`."""


def _link_target(text: str) -> str:
    return text if text == PROFILE_IDENTIFIER else _property_name(text)


LinkTarget = Annotated[str, AfterValidator(_link_target)]
"""A property, or `profile_identifier` (SPEC M1)."""


def _column(text: str) -> str:
    if not text.strip() or len(text) > 1024:
        raise ValueError("is not a column name; use 1 to 1024 characters, exactly as in the file's first line")
    return text


ColumnName = Annotated[str, AfterValidator(_column)]


def _email(text: str) -> str:
    try:
        return validate_email(text, check_deliverability=False, globally_deliverable=False).normalized
    except EmailNotValidError:
        raise ValueError("is not an e-mail address; use the form name@example.com") from None


EmailAddress = Annotated[str, AfterValidator(_email)]


def _distinct(what: str) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    def check(values: tuple[str, ...]) -> tuple[str, ...]:
        refuse(Problem((later,), f"{what} '{shown(value)}' is listed twice; remove one") for later, _, value in repeated(values))
        return values

    return check


Labels = Annotated[tuple[Title, ...], AfterValidator(_distinct("label"))]
Objectives = Annotated[tuple[ObjectName, ...], AfterValidator(_distinct("objective"))]
Segments = Annotated[tuple[ObjectName, ...], AfterValidator(_distinct("segment"))]
EmailAddresses = Annotated[tuple[EmailAddress, ...], AfterValidator(_distinct("address"))]


def slug(name: str) -> str:
    """The id that a name stands for: `Kunden (täglich)` is `kunden-taglich`. Empty where no letter or digit is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii").lower()
    return re.sub(r"[^a-z0-9_]+", "-", plain).strip("-")[:64].strip("-")
