"""An import's plan: everything about a goal that decides what a file's rows become, compiled against the domain's schema.

It is stored with the import's registration, so that whoever takes the import up does exactly the same (DESIGN §2: the registration holds all it needs).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict

from headrace.address import PROFILE_IDENTIFIER, address_of, profile_identifier_of
from headrace.cells import CellFormat, read_identifier
from headrace.outcomes import Reason

PLAN_FORMAT = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedLink(_Frozen):
    """A column whose value locates the profile. `property` may be `profile_identifier`."""

    column: str
    property: str
    type: str = "text"


class PlannedMapping(_Frozen):
    column: str
    property: str
    property_id: int
    type: str = "text"
    multiple: bool = False
    identifier: bool = False
    rule: Literal["set", "set_if_empty", "add", "sum"] = "set"
    blank: Literal["ignore", "clear"] = "ignore"


class PlannedFormat(_Frozen):
    """How the file is cut into rows and read. SPEC I6–I9, I11."""

    separator: str = ","
    encoding: str = "utf-8"
    decimal: str = "."
    multi_value: str | None = None
    date_format: str = "%Y-%m-%d"
    datetime_format: str = "%Y-%m-%d %H:%M:%S"
    time_zone: str = "UTC"


class ImportPlan(_Frozen):
    """`width`: how many property ids the schema had; `address_key`: hex of the domain's 32-byte key."""

    format: int = PLAN_FORMAT
    domain: str
    partitions: int
    address_key: str
    schema_version: int
    width: int
    file_format: PlannedFormat = PlannedFormat()
    link: PlannedLink
    mappings: tuple[PlannedMapping, ...]
    allow_creation: bool = False
    on_bad_cell: Literal["reject_cell", "reject_row"] = "reject_cell"

    @cached_property
    def cells(self) -> CellFormat:
        f = self.file_format
        return CellFormat(f.decimal, f.multi_value, f.date_format, f.datetime_format, f.time_zone)

    @cached_property
    def key(self) -> bytes:
        return bytes.fromhex(self.address_key)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The source columns that rows carry to the workers, each once, in mapping order."""
        return tuple(dict.fromkeys(mapping.column for mapping in self.mappings))

    def address_of_row(self, row: Mapping[str, str]) -> bytes | Reason:
        """The address of the profile that a row (column → cell) is for. A row without a usable identifier is rejected (SPEC M11)."""
        text = row[self.link.column]
        if self.link.property == PROFILE_IDENTIFIER:
            if not text.strip():
                return Reason.NO_IDENTIFIER
            found = profile_identifier_of(text)
            return Reason.INVALID_IDENTIFIER if found is None else found
        value = read_identifier(self.link.type, text, self.cells)
        if value is None:
            return Reason.NO_IDENTIFIER
        return value if isinstance(value, Reason) else address_of(self.key, self.link.property, value)
