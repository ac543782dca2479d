"""What is in the directory that an export goal writes to, and how many profiles there are for it now (SPEC E2, E3)."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.connections import Connection
from headrace.errors import TerminalError
from headrace.goals import ExportProfilesGoal
from object_store.versions import ObjectVersion
from streaming.exporting.available import count_available
from streaming.importing.context import ImportContext


@dataclass(frozen=True, slots=True)
class ScannedDestination:
    """`files`: the newest first. `available`: members of the segment with the required consent; None where they can't be counted, `problem` says why."""

    files: tuple[ObjectVersion, ...]
    available: int | None
    problem: str = ""


def scan_destination(context: ImportContext, connection: Connection, goal: ExportProfilesGoal) -> ScannedDestination:
    """Changes nothing. Raises what listing the directory raises, and TransientError."""
    place = goal.destination
    listed = context.objects_of(connection.name).list_directory(place.bucket, place.directory)
    files = tuple(sorted(listed, key=lambda one: (one.last_modified, one.key), reverse=True))
    try:
        return ScannedDestination(files, count_available(context.store, connection, goal))
    except TerminalError as error:
        return ScannedDestination(files, None, str(error))
