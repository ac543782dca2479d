"""How the dates and times of a file that is there already are written, beside what an export goal would write (SPEC E3, I9)."""

from __future__ import annotations

from dataclasses import dataclass, field

from headrace.cells import CellFormat, read_value
from headrace.connections import Connection
from headrace.errors import TerminalError
from headrace.exports import PropertyColumn
from headrace.formats import FileFormat
from headrace.goals import ExportProfilesGoal
from headrace.outcomes import Reason
from object_store.versions import ObjectVersion
from profile_store import registry
from streaming.importing.context import ImportContext
from streaming.importing.plan import planned_format
from streaming.look.head import Head, read_head
from streaming.look.moments import MomentType, fitting_formats, goal_format

EXAMPLES = 5
KINDS: tuple[MomentType, ...] = ("date", "datetime")


@dataclass(frozen=True, slots=True)
class DateColumn:
    """A column of the file that holds dates, or dates and times. `format`: the goal's for that type.

    `values`: some, as they stand in the file, with what they are read as by the goal's format, None for one that it does not read. `fits`: the common
    formats that read them all, where the goal's does not.
    """

    column: str
    kind: MomentType
    format: str
    read: int
    refused: int
    values: dict[str, str | None] = field(default_factory=dict)
    fits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileDates:
    file: ObjectVersion
    rows: int
    columns: tuple[DateColumn, ...]


def file_dates(context: ImportContext, connection: Connection, goal: ExportProfilesGoal, key: str, rows: int) -> FileDates:
    """Of the first `rows` rows of the file called `key` in the goal's directory; empty: of the newest one there.

    Columns that the goal writes are of their property's type; others are shown where some format reads all their values. Raises TerminalError NO_FILE,
    NO_SUCH_OBJECT, and what reading the object raises.
    """
    objects, place = context.objects_of(connection.name), goal.destination
    version = objects.head(place.bucket, place.directory + key) if key else _newest(context, connection, goal)
    shared = {name: getattr(goal.format, name) for name in type(goal.format).model_fields if name in FileFormat.model_fields}
    head = read_head(objects, version, planned_format(FileFormat(**shared)), rows)
    schema, cells = registry.get_domain(context.store, goal.domain).schema, goal.format.cells
    properties = {one.header: schema.find(one.property) for one in goal.columns if isinstance(one, PropertyColumn)}
    types = {header: None if found is None else found.type for header, found in properties.items()}
    found = []
    for name in head.header:
        values = _values(head, name, cells)
        kind = types.get(name)
        kinds = tuple(one for one in KINDS if one == kind) if name in types else _kinds(values, cells)
        found += [_column(name, kinds[0], values, cells)] if kinds and values else []
    return FileDates(version, head.rows, tuple(found))


def _newest(context: ImportContext, connection: Connection, goal: ExportProfilesGoal) -> ObjectVersion:
    place = goal.destination
    objects = context.objects_of(connection.name)
    files = list(objects.list_directory(place.bucket, place.directory))
    if not files:
        raise TerminalError(
            f"There is no file in s3://{place.bucket}/{place.directory} yet.",
            code="NO_FILE",
            hint="Run the goal, or name another directory.",
        )
    newest = max(files, key=lambda one: (one.last_modified, one.key))
    return objects.head(newest.bucket, newest.key)


def _values(head: Head, name: str, cells: CellFormat) -> list[str]:
    column = head.column(name) or []
    separator = cells.multi_value
    parts = (part for text in column for part in (text.split(separator) if separator else [text]))
    return [part for part in parts if part.strip()]


def _kinds(values: list[str], cells: CellFormat) -> tuple[MomentType, ...]:
    return tuple(kind for kind in KINDS if fitting_formats(values, kind, cells))


def _column(name: str, kind: MomentType, values: list[str], cells: CellFormat) -> DateColumn:
    read = {text: value for text in dict.fromkeys(values) if not isinstance(value := read_value(kind, text, cells), Reason) and value}
    refused = [text for text in values if text not in read]
    shown = dict.fromkeys([*list(read)[:EXAMPLES], *refused[:EXAMPLES]])
    fits = tuple(fitting_formats(values, kind, cells)) if refused else ()
    return DateColumn(
        name, kind, goal_format(cells, kind), len(values) - len(refused), len(refused), {text: read.get(text) for text in shown}, fits
    )
