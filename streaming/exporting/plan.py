"""An export goal against its domain: what each column of the file holds, and whose profiles are in it (SPEC E1, E7, P1)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from headrace.consent import CONSENTS
from headrace.errors import TerminalError
from headrace.exports import (
    Column,
    PermissionLevelColumn,
    ProfileIdentifierColumn,
    PropertyColumn,
    SegmentsColumn,
    TextColumn,
    ViewedInteractionsColumn,
)
from headrace.formats import ExportFormat
from headrace.goals import ExportProfilesGoal
from headrace.schema import DomainSchema
from profile_store.registry import StoredDomain
from profile_store.segment_registry import no_such_segment

BUILT_IN_COLUMNS = {ViewedInteractionsColumn: "viewed_interactions", PermissionLevelColumn: "permission_level"}


@dataclass(frozen=True, slots=True)
class IdentifierCells:
    """The profile identifier, as 32 hex characters."""


@dataclass(frozen=True, slots=True)
class PropertyCells:
    """The value of a property. `property_id` None: the domain has none yet, as with built-in ones that no mapping uses."""

    property_id: int | None
    type: str
    multiple: bool


@dataclass(frozen=True, slots=True)
class SegmentCells:
    """The names of those of these segments that the profile is in."""

    segments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TextCells:
    """The same in every row."""

    text: str


Cells = IdentifierCells | PropertyCells | SegmentCells | TextCells


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What to write of whom.

    `segments`: names of those whose membership is read, the exported one first. `wanted`: ids of the selected properties; a profile without a value
    for any is left out (none selected: all are written, SPEC E1). `objectives`: only who consented to one is exported; none: everyone. `width`: the
    schema's number of property ids.
    """

    domain: str
    partitions: int
    width: int
    format: ExportFormat
    headers: tuple[str, ...]
    cells: tuple[Cells, ...]
    segments: tuple[str, ...]
    segment_ids: tuple[int, ...]
    wanted: tuple[int, ...]
    selects: bool
    objectives: frozenset[str]
    consents_id: int | None

    @property
    def needs(self) -> set[str]:
        """The columns of records that are looked at (`profile_store.records.decode_records`)."""
        written = (one.property_id for one in self.cells if isinstance(one, PropertyCells))
        judged = (self.consents_id,) if self.objectives else ()
        return {str(one) for one in (*written, *judged) if one is not None}


def plan_export(
    goal: ExportProfilesGoal,
    domain: StoredDomain,
    objectives: Iterable[str],
    segments: Mapping[str, int],
    file_name: str,
    unbuilt: Collection[str] = (),
) -> ExportPlan:
    """`segments`: name → id of all that the domain has; `file_name`: of the file to write. `unbuilt`: names of those that were never materialized; a column of
    all segments does without them, so that who defines one stops no export.

    Raises TerminalError for a property or segment that is not there.
    """
    known = tuple(segments)
    shown = tuple(name for name in known if name not in unbuilt)
    cells = tuple(_cells(column, goal, domain, shown, file_name) for column in goal.columns)
    consents = domain.schema.find(CONSENTS)
    wanted = [one for one, column in zip(cells, goal.columns, strict=True) if isinstance(column, PropertyColumn)]
    read = dict.fromkeys([goal.segment, *(name for one in cells if isinstance(one, SegmentCells) for name in one.segments)])
    for name in read:
        if name not in known:
            raise no_such_segment(domain.name, name, known)
    return ExportPlan(
        domain=domain.name,
        partitions=domain.partitions,
        width=len(domain.schema.properties),
        format=goal.format,
        headers=tuple(column.header for column in goal.columns),
        cells=cells,
        segments=tuple(read),
        segment_ids=tuple(segments[name] for name in read),
        wanted=tuple(one.property_id for one in wanted if isinstance(one, PropertyCells) and one.property_id is not None),
        selects=bool(wanted),
        objectives=frozenset(objectives),
        consents_id=None if consents is None else consents.id,
    )


def _cells(column: Column, goal: ExportProfilesGoal, domain: StoredDomain, segments: tuple[str, ...], file_name: str) -> Cells:
    match column:
        case ProfileIdentifierColumn():
            return TextCells(file_name) if goal.replace_identifiers_with_file_name else IdentifierCells()
        case SegmentsColumn():
            return SegmentCells(segments if column.segments is None else column.segments)
        case TextColumn():
            return TextCells(column.text)
        case PropertyColumn():
            return _property_cells(domain.schema, domain, column.property)
        case _:
            return _property_cells(domain.schema, domain, BUILT_IN_COLUMNS[type(column)])


def _property_cells(schema: DomainSchema, domain: StoredDomain, name: str) -> PropertyCells:
    stored = schema.find(name)
    if stored is not None:
        return PropertyCells(stored.id, stored.type, stored.multiple)
    shape = domain.definition.find_property(name)
    if shape is None:
        raise TerminalError(
            f"Domain {domain.name} has no property '{name}'.", code="NO_SUCH_PROPERTY", hint="Correct the goal, or define the property."
        )
    return PropertyCells(None, shape.type, shape.multiple)
