"""`headrace scan`: which files match, and what a run would do with each (SPEC I4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from headrace.cli.goals import wanted_goals
from headrace.cli.servers import opened
from headrace.cli.terminal import Terminal, plain, table
from profile_store import registry
from streaming.importing.scan import ScannedFile, scan_goal

if TYPE_CHECKING:
    from headrace.goals import ImportProfilesGoal

STYLES = {"new": "green", "changed": "yellow", "failed": "red", "damaged": "red", "imported": "dim", "skipped": "dim"}


def scan_connection(terminal: Terminal, connection: str, goal: str) -> bool:
    with opened() as context:
        found = registry.get_connection(context.store, connection)
        scanned = [(one, scan_goal(context, found, one)) for one in wanted_goals(found, goal)]
    terminal.document({"connection": connection, "goals": [_document(one, files) for one, files in scanned]})
    if not scanned:
        terminal.say(f"connection {connection} has no goal that imports profiles")
    for one, files in scanned:
        terminal.say(f"goal {one.id}: s3://{one.source.bucket}/{one.source.directory}{one.source.files or ''}", style="bold")
        if not files:
            terminal.say("no file matches")
            continue
        rows = [_row(file) for file in files]
        terminal.show(table(("file", "bytes", "modified (UTC)", "status", "why"), rows, numbers=("bytes",)))
    return True


def _row(file: ScannedFile) -> tuple[str | Text, ...]:
    version = file.version
    modified = f"{version.last_modified:%Y-%m-%d %H:%M:%S}"
    return plain(version.key), f"{version.size:,}", modified, Text(file.status, style=STYLES[file.status]), file.reason


def _document(goal: ImportProfilesGoal, files: list[ScannedFile]) -> dict[str, Any]:
    return {
        "goal": goal.id,
        "domain": goal.domain,
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
