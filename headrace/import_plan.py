"""An import's plan: everything about a goal that decides what a file's rows become, compiled against the domain's schema.

It is stored with the import's registration, so that whoever takes the import up does exactly the same (DESIGN §2: the registration holds all it needs).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from headrace.address import PROFILE_IDENTIFIER, address_of, profile_identifier_of
from headrace.cells import CellFormat, read_identifier
from headrace.consent import CONSENTS
from headrace.outcomes import Reason

PLAN_FORMAT = 3
"""The newest that is read. Written is 1, but for what older releases would get wrong: 2 for objectives, which they would not ask for, and 3 for what upload
jobs check and when their profiles expire."""
_SINCE_2 = ("objectives", "consents_id")
_SINCE_3: dict[str, Any] = {"expires": True, "file_format": {"phone_region"}, "mappings": {"__all__": {"longest"}}}
PlannedRule = Literal["set", "set_if_empty", "add", "sum"]
PlannedBlank = Literal["ignore", "clear"]


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
    rule: PlannedRule = "set"
    blank: PlannedBlank = "ignore"
    longest: int | None = None
    """Characters that a value may have; None: as many as a row may."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A cell of every row that names the row's profile by an identifier, and so is to be bound to it (SPEC M1, M10).

    `property`: of an identifier, or `profile_identifier`. `mapping`: the place in `ImportPlan.mappings` of the mapping that stores the value, with its
    `property_id`, `rule` and `blank`; None: the value is bound and stored nowhere. `link`: the place in `ImportPlan.links` of the link that reads this
    very cell, if one does: a row that used it has this value bound by having found or made its profile; all others claim it.
    """

    column: str
    property: str
    type: str
    link: int | None
    mapping: int | None = None
    property_id: int | None = None
    rule: PlannedRule = "set_if_empty"
    blank: PlannedBlank = "ignore"


class PlannedFormat(_Frozen):
    """How the file is cut into rows and read. SPEC I6–I9, I11."""

    separator: str = ","
    encoding: str = "utf-8"
    decimal: str = "."
    multi_value: str | None = None
    date_format: str = "%Y-%m-%d"
    datetime_format: str = "%Y-%m-%d %H:%M:%S"
    time_zone: str = "UTC"
    phone_region: str = ""

    @cached_property
    def cells(self) -> CellFormat:
        return CellFormat(self.decimal, self.multi_value, self.date_format, self.datetime_format, self.time_zone, self.phone_region)


class ImportPlan(_Frozen):
    """`width`: how many property ids the schema had; `address_key`: hex of the domain's 32-byte key.

    `links`: in order; a row uses the first that is not blank. The property of each has a mapping, `profile_identifier` apart (SPEC M3).
    `objectives`: only profiles that consented to one of them are processed (SPEC P1), none: everyone; `consents_id`: the property id of their
    consents, None where the schema has none: then nobody has consented.
    `expires`: until when, in epoch seconds, this import keeps a profile that it imports (SPEC U11); None: for ever.
    """

    domain: str
    partitions: int
    address_key: str
    schema_version: int
    width: int
    file_format: PlannedFormat = PlannedFormat()
    links: tuple[PlannedLink, ...] = Field(min_length=1)
    mappings: tuple[PlannedMapping, ...]
    allow_creation: bool = False
    on_bad_cell: Literal["reject_cell", "reject_row"] = "reject_cell"
    objectives: tuple[str, ...] = ()
    consents_id: int | None = None
    expires: int | None = None

    def as_document(self) -> dict[str, Any]:
        """As it is stored: with the number of its format, and without what that format does not know."""
        if self.expires is not None or self.file_format.phone_region or any(one.longest is not None for one in self.mappings):
            return {"format": 3, **self.model_dump(mode="json")}
        if self.objectives:
            return {"format": 2, **self.model_dump(mode="json", exclude=_SINCE_3)}
        return {"format": 1, **self.model_dump(mode="json", exclude={**_SINCE_3, **dict.fromkeys(_SINCE_2, True)})}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> ImportPlan:
        """The opposite, for a format that this release reads."""
        return cls.model_validate({name: value for name, value in document.items() if name != "format"})

    @cached_property
    def consent_mapping(self) -> int | None:
        """The place of the mapping that takes a row's own consents in; None where there is none."""
        return next((place for place, one in enumerate(self.mappings) if one.property == CONSENTS), None)

    @cached_property
    def cells(self) -> CellFormat:
        return self.file_format.cells

    @cached_property
    def key(self) -> bytes:
        return bytes.fromhex(self.address_key)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The source columns that rows carry to the workers, each once: in mapping order, then those that are only bound."""
        mapped = (mapping.column for mapping in self.mappings)
        return tuple(dict.fromkeys((*mapped, *(binding.column for binding in self.bindings))))

    @cached_property
    def has_several_links(self) -> bool:
        """Then rows carry which one they used, and all their link cells."""
        return len(self.links) > 1

    @cached_property
    def bindings(self) -> tuple[Binding, ...]:
        """The identifier cells of a row, in the order of their claims: those of mappings, then links that no mapping stores.

        A single link is used by every row, so where no mapping reads it there is nothing to claim.
        """
        places = {(link.column, link.property): place for place, link in enumerate(self.links)}
        mapped = [
            Binding(
                one.column,
                one.property,
                one.type,
                places.pop((one.column, one.property), None),
                place,
                one.property_id,
                one.rule,
                one.blank,
            )
            for place, one in enumerate(self.mappings)
            if one.identifier
        ]
        if not self.has_several_links:
            return tuple(mapped)
        return (*mapped, *(Binding(column, name, self.links[place].type, place) for (column, name), place in places.items()))

    def link_of_row(self, row: Mapping[str, str]) -> tuple[int, bytes] | Reason:
        """The link that a row (column → cell) uses, by its place, and the address of the profile that the row is for.

        The first link that is not blank decides: a row where it can't be an identifier is rejected, as one without any is (SPEC M1, M11).
        """
        for place, link in enumerate(self.links):
            address = self.address_of_cell(link.property, link.type, row[link.column])
            if address is not None:
                return address if isinstance(address, Reason) else (place, address)
        return Reason.NO_IDENTIFIER

    def address_of_row(self, row: Mapping[str, str]) -> bytes | Reason:
        used = self.link_of_row(row)
        return used if isinstance(used, Reason) else used[1]

    def address_of_cell(self, property_name: str, type_name: str, text: str) -> bytes | Reason | None:
        """The address that an identifier's cell names; None where it is blank."""
        if property_name == PROFILE_IDENTIFIER:
            if not text.strip():
                return None
            found = profile_identifier_of(text)
            return Reason.INVALID_IDENTIFIER if found is None else found
        value = read_identifier(type_name, text, self.cells)
        return value if value is None or isinstance(value, Reason) else address_of(self.key, property_name, value)
