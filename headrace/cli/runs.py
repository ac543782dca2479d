"""`headrace runs`: what runs did (SPEC R1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.text import Text

from headrace.cli.run_result import show_result
from headrace.cli.servers import opened_store
from headrace.cli.terminal import Terminal, table
from headrace.errors import TerminalError
from headrace.outcomes import Outcomes
from headrace.run_plot import bars
from profile_store import registry
from profile_store.reject_history import ImportRejects, rejects_of_connection
from profile_store.runs import RunRecord, list_every_run, list_runs, read_run
from profile_store.store import Store

STYLES = {"WAITING": "cyan", "RUNNING": "cyan", "COMPLETE": "green", "FAILED": "red", "NOTHING_TO_DO": "dim"}


def show_runs(terminal: Terminal, connection: str, most: int) -> bool:
    with opened_store() as store:
        found = list_runs(store, connection, most) if connection else list_every_run(store, most)
        if connection and not found:
            registry.get_connection(store, connection)
        rejects = _rejects_of(store, found)
    terminal.document({"runs": [_document(run, rejects) for run in found]})
    if not found:
        terminal.say("no runs yet")
        return True
    header = ("started (UTC)", "connection", "goal", "state", "seconds", "files", "rows", "rejected", "left", "exported")
    drawn = bars([(one.rows, one.rejected) for one in map(_outcomes, found)])
    rows = [
        (*_row(run), _left(run, rejects), f"{sum(file.exported for file in run.files):,}", bar)
        for run, bar in zip(found, drawn, strict=True)
    ]
    terminal.show(table((*header, ""), rows, numbers=header[4:]))
    for run in found:
        if run.state == "FAILED":
            terminal.say(f"{_started(run)} {run.connection} failed: {run.reason}", style="red")
    return True


def show_run(terminal: Terminal, run_id: str) -> bool:
    """One run with its files, and where its rejects are."""
    with opened_store() as store:
        run = read_run(store, run_id)
        if run is None:
            raise TerminalError("There is no run of this id.", code="NO_SUCH_RUN", hint="`headrace runs --json` lists their ids.")
        rejects = _rejects_of(store, [run])
    terminal.document({"run": _document(run, rejects)})
    goal = f", goal {run.goal}" if run.goal else ""
    terminal.say(f"run {run.run_id} of connection {run.connection}{goal}: {run.state}", style=STYLES.get(run.state, ""))
    terminal.say(f"{_started(run)} UTC, {_seconds(run) or 'not over yet,'} s")
    show_result(terminal, run, {})
    return True


def _rejects_of(store: Store, found: list[RunRecord]) -> dict[str, ImportRejects]:
    names = {run.connection for run in found if any(file.rejects_key for file in run.files)}
    return {one.note.rejects_key: one for name in sorted(names) for one in rejects_of_connection(store, name)}


def _outcomes(run: RunRecord) -> Outcomes:
    return sum((file.counts for file in run.files), start=Outcomes())


def _document(run: RunRecord, rejects: Mapping[str, ImportRejects]) -> dict[str, Any]:
    """With what became of each file's rejects since."""
    files = [{**asdict(file), "rejects": _became(rejects.get(file.rejects_key or ""))} for file in run.files]
    return {**asdict(run), "files": files}


def _became(rejects: ImportRejects | None) -> dict[str, int] | None:
    return None if rejects is None else {"replayed": rejects.counts.replayed, "left": rejects.left}


def _left(run: RunRecord, rejects: Mapping[str, ImportRejects]) -> str:
    """Rejected rows and cells that nobody has replayed with success."""
    of_files = (rejects.get(file.rejects_key or "") for file in run.files)
    return f"{sum(one.left for one in of_files if one is not None):,}"


def _row(run: RunRecord) -> tuple[str | Text, ...]:
    outcomes = _outcomes(run)
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
