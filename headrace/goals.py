"""The three kinds of goals of a connection. SPEC C3, I, G, E."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from headrace.configuration_model import ConfigurationModel, Flag, Problem, refuse, repeated, shown
from headrace.exports import LISTS, Columns, ProfileIdentifierColumn
from headrace.formats import ExportFormat, FileFormat
from headrace.mappings import Links, Mappings
from headrace.names import GoalId, ObjectName, Title, slug
from headrace.sources import Destination, Source
from headrace.written_cells import harmless


class _Goal(ConfigurationModel):
    id: GoalId = Field(
        description="permanent: the ledger and history belong to it; absent: made of the name. Write it down before renaming"
    )
    name: Title = Field(description="for people; may change")
    active: Flag = Field(default=True, description="an inactive goal is left out of every run (SPEC C4)")
    domain: ObjectName = Field(description="the domain whose profiles are read or written, and no others (SPEC I2)")

    @model_validator(mode="before")
    @classmethod
    def _id_of_name(cls, written: object) -> object:
        if isinstance(written, dict) and "id" not in written and isinstance(written.get("name"), str):
            made = slug(written["name"])
            if not made:
                refuse([Problem(("name",), "has no letter or digit to make an id of; write an id: of a-z, digits, '_' and '-'")])
            return {**written, "id": made}
        return written


class ImportGoal(_Goal):
    """What importing profiles and importing groups have in common."""

    source: Source = Field(description="which files")
    format: FileFormat = Field(default=FileFormat(), description="how they are read")
    link: Links = Field(description="columns that say which profile a row is for; a row uses the first that is not blank (SPEC M1)")
    allow_creation: Flag = Field(default=False, description="a row without a match makes a new profile (SPEC M2)")
    prefix: str = Field(default="", description="put before the column where a mapping names no property (SPEC M8)")
    mappings: Mappings = Field(default=(), description="columns that are imported; others are not (SPEC M3)")
    on_bad_cell: Literal["reject_cell", "reject_row"] = Field(
        default="reject_cell", description="what a cell that can't be read costs: itself, or its row (SPEC M11)"
    )
    on_change: Literal["reimport", "skip"] = Field(
        default="reimport",
        description="of files that were imported under another configuration: import again, sums too, or leave alone (SPEC I10)",
    )
    pin: Literal["auto", "never"] = Field(
        default="auto", description="copy an object while it is imported, in buckets without versions (SPEC I12)"
    )

    @model_validator(mode="before")
    @classmethod
    def _mapped_by_prefix(cls, written: object) -> object:
        """SPEC M8: a mapping without a property gets the prefix and its column. The result is stored, so the prefix has no later effect."""
        if not isinstance(written, dict) or not isinstance(written.get("mappings"), list | tuple):
            return written
        prefix = written.get("prefix", "")
        if not isinstance(prefix, str):
            return written
        mappings = [
            {**one, "property": f"{prefix}{one['column']}"}
            if isinstance(one, dict) and one.get("property") in (None, "") and isinstance(one.get("column"), str)
            else one
            for one in written["mappings"]
        ]
        return {**written, "mappings": mappings}


class ImportProfilesGoal(ImportGoal):
    """CSV files into profiles."""

    kind: Literal["import_profiles"] = Field(description="the kind of goal: import_profiles")


class ImportGroupsGoal(ImportGoal):
    """CSV files into groups (households, companies…). SPEC G1–G5."""

    kind: Literal["import_groups"] = Field(description="the kind of goal: import_groups")
    group_type: ObjectName = Field(description="one of the domain's group types, which are defined first (SPEC G1)")


class ExportProfilesGoal(_Goal):
    """The profiles of a segment into a CSV file. SPEC E1–E9."""

    kind: Literal["export_profiles"] = Field(description="the kind of goal: export_profiles")
    segment: ObjectName = Field(
        description="the segment whose profiles are exported, where they have a value for a selected property (SPEC E1)"
    )
    destination: Destination = Field(description="where the file is written")
    format: ExportFormat = Field(default=ExportFormat(), description="how it is written")
    replace_identifiers_with_file_name: Flag = Field(
        default=False, description="profile identifier cells hold the file's name instead (SPEC E6)"
    )
    columns: Columns = Field(description="of the file, in order (SPEC E7)")

    @model_validator(mode="after")
    def _fits_its_columns(self) -> Self:
        problems = []
        if self.format.multi_value is None:
            problems = [
                Problem(("columns", position), f"{one.kind} holds several values; set format.multi_value, for example to |")
                for position, one in enumerate(self.columns)
                if isinstance(one, LISTS)
            ]
        if self.format.spreadsheet_safe:
            problems += [
                Problem(
                    ("columns", later, "header"),
                    f"spreadsheet_safe writes {shown(name)}, as it does for columns[{first}]; each column needs its own header",
                )
                for later, first, name in repeated(harmless(one.header) for one in self.columns)
            ]
        if self.replace_identifiers_with_file_name and not any(isinstance(one, ProfileIdentifierColumn) for one in self.columns):
            problems.append(
                Problem(
                    ("replace_identifiers_with_file_name",), "there is no column of kind profile_identifier; add one, or leave this out"
                )
            )
        refuse(problems)
        return self


GOAL_KINDS = {"import_profiles": ImportProfilesGoal, "import_groups": ImportGroupsGoal, "export_profiles": ExportProfilesGoal}


def _goal_kind(written: object) -> str | None:
    if isinstance(written, ConfigurationModel):
        return type(written).__name__
    kind = written.get("kind") if isinstance(written, dict) else None
    return GOAL_KINDS[kind].__name__ if isinstance(kind, str) and kind in GOAL_KINDS else None


Goal = Annotated[
    Annotated[ImportProfilesGoal, Tag("ImportProfilesGoal")]
    | Annotated[ImportGroupsGoal, Tag("ImportGroupsGoal")]
    | Annotated[ExportProfilesGoal, Tag("ExportProfilesGoal")],
    Discriminator(_goal_kind, custom_error_type="unknown_kind", custom_error_message=f"use one of {', '.join(GOAL_KINDS)}"),
]
