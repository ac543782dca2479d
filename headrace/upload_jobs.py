"""An upload job: what CreateUploadJob asks for, and the states that it goes through (SPEC U2–U4, U7). All pure; profile_store keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from headrace.configuration_model import shown
from headrace.domains import Property
from headrace.errors import ConfigurationError
from headrace.outcomes import Outcomes
from headrace.standard_fields import StandardField, field_of_target, invalid_target

Status = Literal["CREATED", "IN_PROGRESS", "PARTIALLY_SUCCEEDED", "SUCCEEDED", "FAILED", "STOPPED"]
StatusReason = Literal["", "VALIDATION_FAILURE", "INTERNAL_FAILURE"]
ContentType = Literal["STRING", "NUMBER", "PHONE_NUMBER", "EMAIL_ADDRESS", "NAME"]

ENDS: tuple[Status, ...] = ("SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "STOPPED")
TRANSITIONS: dict[Status, tuple[Status, ...]] = {
    "CREATED": ("CREATED", "IN_PROGRESS", "STOPPED"),
    "IN_PROGRESS": ("IN_PROGRESS", *ENDS),
    **dict.fromkeys(ENDS, ()),
}
"""What each state may become. An upload, or a wish to stop, leaves a job in its state."""

DEFAULT_EXPIRY_DAYS = 14
CELL_TYPES: dict[ContentType, str] = {
    "STRING": "text",
    "NAME": "text",
    "NUMBER": "numeral",
    "PHONE_NUMBER": "phone",
    "EMAIL_ADDRESS": "email",
}
"""How a cell for a text is read: a content type checks, and what passes is stored as it is written; only e-mails are lowercased (SPEC M2)."""


@dataclass(frozen=True, slots=True)
class UploadField:
    """A column of the file, and the field that its values go into."""

    source: str
    target: str
    content_type: ContentType = "STRING"

    @property
    def field(self) -> StandardField:
        found = field_of_target(self.target)
        if found is None:
            raise ValueError(f"{self.target} is no field")
        return found


@dataclass(frozen=True, slots=True)
class UploadDefinition:
    """What a job was created with. `fields`: by their names; `unique_key`: as it was given; `expiry_days`: SPEC U11."""

    display_name: str
    fields: Mapping[str, UploadField]
    unique_key: str
    expiry_days: int = DEFAULT_EXPIRY_DAYS

    @property
    def key(self) -> UploadField:
        """The field that identifies a record (SPEC U4)."""
        [found] = _keys(self.fields, self.unique_key)
        return found

    @property
    def key_property(self) -> Property:
        """The identifier that the domain has to have. Of e-mail addresses it is one of e-mails, so that jobs agree on capitals."""
        return Property(name=self.key.field.name, type="email" if self.key.content_type == "EMAIL_ADDRESS" else "text", identifier=True)

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.source for one in self.fields.values()))

    def fields_for_api(self) -> dict[str, dict[str, str]]:
        return {
            name: {"Source": one.source, "Target": one.target, "ContentType": one.content_type} for name, one in sorted(self.fields.items())
        }


def definition_from_api(request: Mapping[str, Any]) -> UploadDefinition:
    """Of the members of CreateUploadJob, which are as the model has them. Raises ConfigurationError with everything that is wrong."""
    problems: list[str] = []
    fields = {name: field for name, one in request["Fields"].items() if (field := _field(name, one, problems)) is not None}
    if not problems:
        problems += _problems(fields, request["UniqueKey"])
    if problems:
        raise ConfigurationError(problems)
    return UploadDefinition(request["DisplayName"], fields, request["UniqueKey"], int(request.get("DataExpiry", DEFAULT_EXPIRY_DAYS)))


def _field(name: str, document: Mapping[str, str], problems: list[str]) -> UploadField | None:
    source, target = document.get("Source", ""), document.get("Target", "")
    if not source.strip():
        problems.append(f"Field '{shown(name)}' has no Source: the name of a column, exactly as in the file's first line.")
    if not target:
        problems.append(f"Field '{shown(name)}' has no Target, like _profile.AccountNumber.")
    elif field_of_target(target) is None:
        problems.append(invalid_target(target))
    return UploadField(source, target, cast("ContentType", document.get("ContentType", "STRING")))


def _problems(fields: Mapping[str, UploadField], unique_key: str) -> Iterator[str]:
    if not fields:
        yield "Fields is empty: name at least the column that identifies a record."
        return
    first: dict[str, str] = {}
    for name, one in fields.items():
        other = first.setdefault(one.target, name)
        if other != name:
            yield f"Fields '{shown(other)}' and '{shown(name)}' have the same Target {one.target}; remove one."
    found = _keys(fields, unique_key)
    if not found:
        yield f"UniqueKey '{shown(unique_key)}' is neither a key of Fields nor the Source of one."
    elif len(found) > 1:
        yield f"UniqueKey '{shown(unique_key)}' is the Source of {len(found)} fields; give the key of one of them."
    elif found[0].field.type != "text":
        yield f"UniqueKey '{shown(unique_key)}': {found[0].target} holds a {found[0].field.type}, which can't identify a record."


def _keys(fields: Mapping[str, UploadField], unique_key: str) -> list[UploadField]:
    if unique_key in fields:
        return [fields[unique_key]]
    return [one for one in fields.values() if one.source == unique_key]


def status_of(outcomes: Outcomes) -> Status:
    """Of a job whose import came to its end. Rows that an erasure for good keeps out (skipped) have failed, for who uploaded them."""
    if outcomes.rows and not outcomes.created + outcomes.updated + outcomes.unchanged:
        return "FAILED"
    return "PARTIALLY_SUCCEEDED" if outcomes.rejected + outcomes.skipped + outcomes.cells else "SUCCEEDED"


def results_of(outcomes: Outcomes) -> dict[str, int]:
    """`ResultsSummary`: every row counts once."""
    return {
        "UpdatedRecords": outcomes.updated + outcomes.unchanged,
        "CreatedRecords": outcomes.created,
        "FailedRecords": outcomes.rejected + outcomes.skipped,
    }
