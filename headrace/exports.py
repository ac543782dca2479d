"""The columns of an exported file, in their order, each with its own header. SPEC E7."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from headrace.configuration_model import ConfigurationModel, Problem, refuse, repeated, shown
from headrace.names import ColumnName, PropertyName, Segments


class _Column(ConfigurationModel):
    header: ColumnName = Field(description="the column's name in the file's first line")


class ProfileIdentifierColumn(_Column):
    kind: Literal["profile_identifier"] = Field(description="the profile's identifier, 32 hex characters")


class SegmentsColumn(_Column):
    kind: Literal["segments"] = Field(description="names of the segments the profile is in")
    segments: Segments | None = Field(default=None, description="only these segments; absent: all")


class PropertyColumn(_Column):
    kind: Literal["property"] = Field(description="the value of a property")
    property: PropertyName = Field(description="a property of the domain")


class ViewedInteractionsColumn(_Column):
    kind: Literal["viewed_interactions"] = Field(description="all interactions the profile has viewed, all time")


class PermissionLevelColumn(_Column):
    kind: Literal["permission_level"] = Field(description="the permission level set in the profile")


class TextColumn(_Column):
    kind: Literal["text"] = Field(description="the same text in every row")
    text: Annotated[str, Field(max_length=1024)] = Field(description="that every row gets")


COLUMN_KINDS = {
    "profile_identifier": ProfileIdentifierColumn,
    "segments": SegmentsColumn,
    "property": PropertyColumn,
    "viewed_interactions": ViewedInteractionsColumn,
    "permission_level": PermissionLevelColumn,
    "text": TextColumn,
}

LISTS = (SegmentsColumn, ViewedInteractionsColumn)
"""Columns whose cells hold several values: they need a multi-value separator."""


def _column_kind(written: object) -> str | None:
    if isinstance(written, ConfigurationModel):
        return type(written).__name__
    kind = written.get("kind") if isinstance(written, dict) else None
    return COLUMN_KINDS[kind].__name__ if isinstance(kind, str) and kind in COLUMN_KINDS else None


Column = Annotated[
    Annotated[ProfileIdentifierColumn, Tag("ProfileIdentifierColumn")]
    | Annotated[SegmentsColumn, Tag("SegmentsColumn")]
    | Annotated[PropertyColumn, Tag("PropertyColumn")]
    | Annotated[ViewedInteractionsColumn, Tag("ViewedInteractionsColumn")]
    | Annotated[PermissionLevelColumn, Tag("PermissionLevelColumn")]
    | Annotated[TextColumn, Tag("TextColumn")],
    Discriminator(_column_kind, custom_error_type="unknown_kind", custom_error_message=f"use one of {', '.join(COLUMN_KINDS)}"),
]


def _distinct_headers(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    refuse(
        Problem((later, "header"), f"header '{shown(name)}' is there twice, first in columns[{first}]; each column needs its own")
        for later, first, name in repeated(one.header for one in columns)
    )
    return columns


Columns = Annotated[tuple[Column, ...], Field(min_length=1), AfterValidator(_distinct_headers)]
