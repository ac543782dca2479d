"""The dates and times of a file that lies where a goal exports to (SPEC E3). Whoever looks may read the file, so values are shown."""

from __future__ import annotations

from dataclasses import asdict

from headrace.cli.terminal import Terminal, table
from headrace.goals import ExportProfilesGoal
from streaming.look.file_dates import FileDates


def show_dates(terminal: Terminal, connection: str, goal: ExportProfilesGoal, found: FileDates) -> bool:
    columns = [asdict(one) for one in found.columns]
    terminal.document({"connection": connection, "goal": goal.id, "file": found.file.location, "rows": found.rows, "columns": columns})
    terminal.say(f"{found.file.location}: {found.rows:,} rows looked at", style="bold")
    if not found.columns:
        terminal.say("no column holds dates")
        return True
    rows = [(one.column, one.kind, one.format, f"{one.read:,}", f"{one.refused:,}", ", ".join(one.fits)) for one in found.columns]
    terminal.show(table(("column", "type", "the goal's format", "read", "not read", "would fit"), rows, numbers=("read", "not read")))
    examples = [(one.column, text, value or "not read") for one in found.columns for text, value in one.values.items()]
    terminal.show(table(("column", "in the file", "is"), examples))
    return True
