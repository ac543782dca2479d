"""`headrace run`: import what is new or changed, and wait for the end (SPEC R1)."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import asdict
from enum import Enum
from typing import Any

from headrace.cli.goals import runnable_goals
from headrace.cli.progress import Draw, progress_bar
from headrace.cli.run_result import rejects_of, show_result
from headrace.cli.servers import opened
from headrace.cli.terminal import Terminal
from headrace.errors import TransientError
from profile_store import registry
from profile_store.runs import GOING_ON, RunRecord, now, read_run
from streaming.importing.context import ImportContext

LOOK_SECONDS = 0.5
PATIENCE_SECONDS = 60.0
"""For a Prefect that does not answer while a run goes on."""
NO_WORKER_SECONDS = 30.0
"""A run that no Prefect worker has taken for so long deserves a word."""


class Way(Enum):
    PREFECT = "prefect"
    HERE = "here"


def way_of_running(here: bool) -> Way:
    """Prefect where an API is set; its own temporary server, which it would start without one, is worth nothing here."""
    return Way.PREFECT if os.environ.get("PREFECT_API_URL") and not here else Way.HERE


def run_connection(terminal: Terminal, connection: str, goal: str, way: Way) -> bool:
    """Whether all that was to be imported is."""
    with opened() as context:
        found = registry.get_connection(context.store, connection)
        goals = runnable_goals(found, goal)
        with progress_bar(terminal) as draw:
            if way is Way.PREFECT:
                record = _through_prefect(terminal, context, connection, goal, draw)
            else:
                from headrace.cli.run_here import run_here

                record = run_here(context, found, goals, goal, draw)
        rejects = rejects_of(context, record)
        if way is Way.HERE:
            _mail(terminal, context, record, rejects)
    terminal.document(_document(record, rejects))
    show_result(terminal, record, rejects)
    return record.state in ("COMPLETE", "NOTHING_TO_DO")


def _mail(terminal: Terminal, context: ImportContext, record: RunRecord, rejects: dict[str, list[dict[str, Any]]]) -> None:
    """In Prefect the flow does it (SPEC C6)."""
    from tasks.notify import notify

    reasons = Counter(str(one["code"]) for shown in rejects.values() for one in shown)
    if said := notify(context.store, record, reasons):
        terminal.note(said)


def _document(record: RunRecord, rejects: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    files = [
        {
            **asdict(file),
            "rows_per_second": round(file.rows / file.seconds) if file.seconds else None,
            "first_rejects": rejects.get(file.rejects_key or "", []),
        }
        for file in record.files
    ]
    return {**asdict(record), "files": files}


def _through_prefect(terminal: Terminal, context: ImportContext, connection: str, goal: str, draw: Draw) -> RunRecord:
    from deployments.started_runs import start_run

    draw(None, "starting a run in Prefect")
    started = now()
    run = start_run(connection, goal)
    terminal.note(f"run {run.run_id} in Prefect {run.url}".rstrip())
    try:
        message = _followed(terminal, run.run_id, draw)
    except KeyboardInterrupt:
        terminal.note(f"the run goes on in Prefect; `headrace runs {connection}` will show it")
        raise
    record = read_run(context.store, run.run_id)
    if record is None or record.state in GOING_ON:
        # The flow's process ended without a word: crashed, cancelled, or it could not even begin.
        ended = record or RunRecord(run.run_id, connection, goal, started=started)
        ended.state, ended.ended, ended.reason = "FAILED", now(), message
        return ended
    return record


def _followed(terminal: Terminal, run_id: str, draw: Draw) -> str:
    """Until the run has ended: what Prefect says of its end."""
    from deployments.started_runs import look_at_run

    began = answered = time.monotonic()
    warned = False
    while True:
        try:
            seen = look_at_run(run_id)
        except TransientError:
            if time.monotonic() - answered > PATIENCE_SECONDS:
                raise
            draw(None, "Prefect does not answer; asking again")
        else:
            answered = time.monotonic()
            if seen.ended:
                return seen.message or seen.name
            taken = seen.state not in ("SCHEDULED", "PENDING")
            draw(seen.percent, seen.text or ("the flow runs" if taken else "waiting for a Prefect worker to take the run"))
            if not taken and not warned and answered - began > NO_WORKER_SECONDS:
                terminal.warn("no Prefect worker has taken the run yet; start one with `prefect worker start --pool headrace`.")
                warned = True
        time.sleep(LOOK_SECONDS)
