"""`headrace scan`: which files match, and what a run would do with each (SPEC I4); what lies where a goal exports to (SPEC E2, E3)."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from headrace.cli.servers import opened
from headrace.cli.terminal import Terminal, plain, table
from headrace.goal_choice import goals_of
from headrace.goals import ExportProfilesGoal
from profile_store import registry
from streaming.exporting.scan_destination import ScannedDestination, scan_destination
from streaming.importing.plan import AnyImportGoal, domain_of
from streaming.importing.scan import ScannedFile, scan_goal

STYLES = {"new": "green", "changed": "yellow", "failed": "red", "damaged": "red", "imported": "dim", "skipped": "dim"}


def scan_connection(terminal: Terminal, connection: str, goal: str) -> bool:
    with opened() as context:
        found = registry.get_connection(context.store, connection)
        goals = goals_of(found, goal)
        scanned = [(one, scan_goal(context, found, one)) for one in goals if not isinstance(one, ExportProfilesGoal)]
        exports = [(one, scan_destination(context, found, one)) for one in goals if isinstance(one, ExportProfilesGoal)]
    documents = [*(_document(one, files) for one, files in scanned), *(_export_document(one, there) for one, there in exports)]
    terminal.document({"connection": connection, "goals": documents})
    if not documents:
        terminal.say(f"connection {connection} has no goals")
    for writes, there in exports:
        _show_destination(terminal, writes, there)
    for one, files in scanned:
        terminal.say(f"goal {one.id}: s3://{one.source.bucket}/{one.source.directory}{one.source.files or ''}", style="bold")
        if not files:
            terminal.say("no file matches")
            continue
        rows = [_row(file) for file in files]
        terminal.show(table(("file", "bytes", "modified (UTC)", "status", "why"), rows, numbers=("bytes",)))
    return True


def _show_destination(terminal: Terminal, goal: ExportProfilesGoal, there: ScannedDestination) -> None:
    terminal.say(f"goal {goal.id}, which exports: s3://{goal.destination.bucket}/{goal.destination.directory}", style="bold")
    if there.available is None:
        terminal.warn(f"the profiles that are available can't be counted: {there.problem}")
    else:
        terminal.say(f"{there.available:,} profiles of segment {goal.segment} available")
    if not there.files:
        terminal.say("no file is there")
        return
    rows = [(plain(one.key), f"{one.size:,}", f"{one.last_modified:%Y-%m-%d %H:%M:%S}") for one in there.files]
    terminal.show(table(("file", "bytes", "modified (UTC)"), rows, numbers=("bytes",)))


def _export_document(goal: ExportProfilesGoal, there: ScannedDestination) -> dict[str, Any]:
    return {
        "goal": goal.id,
        "domain": goal.domain,
        "active": goal.active,
        "segment": goal.segment,
        "available": there.available,
        "problem": there.problem,
        "files": [
            {"bucket": one.bucket, "key": one.key, "size": one.size, "last_modified": one.last_modified.isoformat()} for one in there.files
        ],
    }


def _row(file: ScannedFile) -> tuple[str | Text, ...]:
    version = file.version
    modified = f"{version.last_modified:%Y-%m-%d %H:%M:%S}"
    return plain(version.key), f"{version.size:,}", modified, Text(file.status, style=STYLES[file.status]), file.reason


def _document(goal: AnyImportGoal, files: list[ScannedFile]) -> dict[str, Any]:
    return {
        "goal": goal.id,
        "domain": domain_of(goal),
        "active": goal.active,
        "files": [
            {
                "bucket": file.version.bucket,
                "key": file.version.key,
                "size": file.version.size,
                "last_modified": file.version.last_modified.isoformat(),
                "status": file.status,
                "reason": file.reason,
            }
            for file in files
        ],
    }
