"""What became of rows and cells, as values. SPEC R4: every row read ends in exactly one outcome."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum


class Outcome(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    REJECTED = "rejected"


class Reason(StrEnum):
    """Why a row or a cell was rejected. The names are stable: they stand in reject files."""

    # rows
    WRONG_COLUMN_COUNT = "WRONG_COLUMN_COUNT"
    UNCLOSED_QUOTE = "UNCLOSED_QUOTE"
    BAD_QUOTE = "BAD_QUOTE"
    BAD_LINE_END = "BAD_LINE_END"
    BAD_ENCODING = "BAD_ENCODING"
    NUL_BYTE = "NUL_BYTE"
    ROW_TOO_LONG = "ROW_TOO_LONG"
    NO_IDENTIFIER = "NO_IDENTIFIER"
    INVALID_IDENTIFIER = "INVALID_IDENTIFIER"
    POISON = "POISON"
    # cells
    NOT_A_NUMBER = "NOT_A_NUMBER"
    NUMBER_OUT_OF_RANGE = "NUMBER_OUT_OF_RANGE"
    SUM_OVERFLOW = "SUM_OVERFLOW"
    NOT_A_DATE = "NOT_A_DATE"
    NOT_A_DATE_TIME = "NOT_A_DATE_TIME"
    NONEXISTENT_LOCAL_TIME = "NONEXISTENT_LOCAL_TIME"
    NOT_AN_EMAIL = "NOT_AN_EMAIL"
    NOT_A_BOOLEAN = "NOT_A_BOOLEAN"
    NOT_A_PHONE_NUMBER = "NOT_A_PHONE_NUMBER"
    TOO_LONG = "TOO_LONG"
    SEVERAL_VALUES = "SEVERAL_VALUES"
    IDENTIFIER_CONFLICT = "IDENTIFIER_CONFLICT"

    @property
    def message(self) -> str:
        """What it means and what to do, without the value itself."""
        return MESSAGES[self]


MESSAGES: dict[Reason, str] = {
    Reason.WRONG_COLUMN_COUNT: "The row has another number of columns than the header; check separators and quotes.",
    Reason.UNCLOSED_QUOTE: "A quoted cell opens and is not closed within the longest row allowed; close it, or double a quote inside it.",
    Reason.BAD_QUOTE: "A quote closes a cell and something other than a separator follows; double a quote inside a quoted cell.",
    Reason.BAD_LINE_END: "A carriage return stands alone outside quotes; end lines with LF or CRLF.",
    Reason.BAD_ENCODING: "The row is not text in the file's encoding; check `encoding` in the goal's format.",
    Reason.NUL_BYTE: "The row holds a NUL byte; check that the file is text in the encoding set.",
    Reason.ROW_TOO_LONG: "The row is longer than 512 KiB.",
    Reason.NO_IDENTIFIER: "The link column is blank, so no profile can be found.",
    Reason.INVALID_IDENTIFIER: "The value can't be an identifier of its type.",
    Reason.POISON: "The row was in a batch that failed five times; it stands in the dead-letter topic and can be replayed.",
    Reason.NOT_A_NUMBER: "Not a number: digits, a sign and one decimal separator are read, nothing else.",
    Reason.NUMBER_OUT_OF_RANGE: "The number has more than 26 digits before the decimal separator, or more than 12 after it.",
    Reason.SUM_OVERFLOW: "The sum would have more than 26 digits before the decimal separator; the value was not added.",
    Reason.NOT_A_DATE: "Not a date in the goal's date format.",
    Reason.NOT_A_DATE_TIME: "Not a date and time in the goal's date-time format.",
    Reason.NONEXISTENT_LOCAL_TIME: "The local time does not exist in the goal's time zone (clocks went forward).",
    Reason.NOT_AN_EMAIL: "Not an e-mail address.",
    Reason.NOT_A_BOOLEAN: "Not a boolean: true, false, yes, no, 1 and 0 are read, in any case.",
    Reason.NOT_A_PHONE_NUMBER: "Not a phone number: write it with + and the country's code.",
    Reason.TOO_LONG: "The value is longer than its field takes.",
    Reason.SEVERAL_VALUES: "Several values for a property that holds one.",
    Reason.IDENTIFIER_CONFLICT: "The identifier belongs to another profile, or was erased for good; it was not taken over.",
}


@dataclass(frozen=True, slots=True)
class Reject:
    """A rejected row (`column` None) or cell. `line` counts from 1, the header's included; `offset` is in bytes of the decompressed text.

    `property`: what a rejected cell was for, since a column may be mapped to several; empty for a row.
    """

    line: int
    offset: int
    column: str | None
    reason: Reason
    property: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Counts of rows by outcome; `cells` counts rejected cells, whose rows went on."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    rejected: int = 0
    cells: int = 0

    @property
    def rows(self) -> int:
        return self.created + self.updated + self.unchanged + self.skipped + self.rejected

    def __add__(self, other: Outcomes) -> Outcomes:
        return Outcomes(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def as_dict(self) -> dict[str, int]:
        return {f.name: getattr(self, f.name) for f in fields(self)}
