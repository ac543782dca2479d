"""`headrace runs`: what runs did (SPEC R1)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from rich.text import Text

from headrace.cli.servers import opened_store
from headrace.cli.terminal import Terminal, table
from headrace.outcomes import Outcomes
from profile_store import registry
from profile_store.runs import RunRecord, list_runs

STYLES = {"RUNNING": "cyan", "COMPLETE": "green", "FAILED": "red", "NOTHING_TO_DO": "dim"}


def show_runs(terminal: Terminal, connection: str, most: int) -> bool:
    with opened_store() as store:
        names = [registry.get_connection(store, connection).name] if connection else registry.connection_names(store)
        found = [run for name in names for run in list_runs(store, name, most)]
    found = sorted(found, key=lambda run: run.started, reverse=True)[:most]
    terminal.document({"runs": [asdict(run) for run in found]})
    if not found:
        terminal.say("no runs yet")
        return True
    header = ("started (UTC)", "connection", "goal", "state", "seconds", "files", "rows", "rejected")
    terminal.show(table(header, [_row(run) for run in found], numbers=header[4:]))
    for run in found:
        if run.state == "FAILED":
            terminal.say(f"{_started(run)} {run.connection} failed: {run.reason}", style="red")
    return True


def _row(run: RunRecord) -> tuple[str | Text, ...]:
    outcomes = sum((file.counts for file in run.files), start=Outcomes())
    return (
        _started(run),
        run.connection,
        run.goal or "all",
        Text(run.state, style=STYLES.get(run.state, "")),
        _seconds(run),
        str(len(run.files)),
        f"{outcomes.rows:,}",
        f"{outcomes.rejected:,}",
    )


def _started(run: RunRecord) -> str:
    return run.started[:19].replace("T", " ")


def _seconds(run: RunRecord) -> str:
    if not run.ended:
        return ""
    return f"{(datetime.fromisoformat(run.ended) - datetime.fromisoformat(run.started)).total_seconds():.1f}"
