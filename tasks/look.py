"""Looking before running, as tasks: buckets, files, the beginning of a file, a dry run. Each opens its own servers, and none changes anything."""

from __future__ import annotations

from headrace.goal_choice import goals_of
from headrace.goals import ExportProfilesGoal
from profile_store import registry
from streaming.dry_run import run
from streaming.dry_run.run import DryRun
from streaming.exporting.scan_destination import ScannedDestination, scan_destination
from streaming.importing import scan
from streaming.importing.context import Report
from streaming.importing.scan import ScannedFile
from streaming.look import detect, preview
from streaming.look import file_dates as dates
from streaming.look.chosen import chosen_file, chosen_goal
from streaming.look.detect import Detected
from streaming.look.file_dates import FileDates
from streaming.look.preview import Preview
from tasks.opened import opened
from tasks.step import step

SHOWN = 10
"""Rows of a preview, cell by cell."""


@step
def list_buckets(connection: str) -> dict[str, list[str]]:
    """Bucket → the goals that read it (SPEC C5)."""
    with opened() as context:
        found = registry.get_connection(context.store, connection)
        names = context.objects_of(connection).list_buckets()
    return {name: [goal.id for goal in found.import_goals if goal.source.bucket == name] for name in names}


@step
def scan_files(connection: str, goal: str) -> dict[str, list[ScannedFile]]:
    """Goal → its files, in the order they are imported (SPEC I4). `goal` empty: every goal that imports, active or not. Nothing of one that exports."""
    with opened() as context:
        found = registry.get_connection(context.store, connection)
        return {one.id: scan.scan_goal(context, found, one) for one in goals_of(found, goal) if not isinstance(one, ExportProfilesGoal)}


@step
def scan_destinations(connection: str, goal: str) -> dict[str, ScannedDestination]:
    """Goal → what lies where it exports to (SPEC E2, E3). `goal` empty: every goal that exports, active or not. Nothing of one that imports."""
    with opened() as context:
        found = registry.get_connection(context.store, connection)
        exports = [one for one in goals_of(found, goal) if isinstance(one, ExportProfilesGoal)]
        return {one.id: scan_destination(context, found, one) for one in exports}


@step
def file_dates(connection: str, goal: str, file: str, rows: int) -> FileDates | None:
    """Of a file where the goal exports to; None for a goal that imports."""
    with opened() as context:
        found = registry.get_connection(context.store, connection)
        chosen = found.goal(goal)
        return dates.file_dates(context, found, chosen, file, rows) if isinstance(chosen, ExportProfilesGoal) else None


@step
def preview_file(connection: str, goal: str, file: str, rows: int) -> Preview:
    with opened() as context:
        found = registry.get_connection(context.store, connection)
        chosen = chosen_goal(found, goal)
        return preview.preview_file(context, found, chosen, chosen_file(context, found, chosen, file), rows, SHOWN)


@step
def detect_fields(connection: str, goal: str, file: str, prefix: str, rows: int) -> Detected:
    """`prefix` empty: the goal's."""
    with opened() as context:
        found = registry.get_connection(context.store, connection)
        chosen = chosen_goal(found, goal)
        return detect.detect_fields(context, found, chosen, chosen_file(context, found, chosen, file), rows, prefix or None)


@step
def dry_run(connection: str, goal: str, file: str, report: Report) -> DryRun:
    with opened(report) as context:
        found = registry.get_connection(context.store, connection)
        chosen = chosen_goal(found, goal)
        return run.dry_run(context, found, chosen, chosen_file(context, found, chosen, file))
