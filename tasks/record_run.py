"""A run in Headrace's own history (SPEC R1), which stays when Prefect's is gone."""

from __future__ import annotations

from dataclasses import dataclass

from profile_store import runs
from profile_store.runs import RunRecord, RunState
from tasks.opened import opened
from tasks.run_report import RunReport, files_of, headline, left_of
from tasks.step import step


@dataclass(frozen=True)
class RunIdentity:
    """`goal`: the one asked for, empty for all. `started`: ISO 8601, UTC."""

    run_id: str
    connection: str
    goal: str
    started: str


@step
def record_progress(run: RunIdentity, report: RunReport) -> None:
    """A run that goes on: what it has done so far."""
    _write(run, report, "RUNNING", "")


def record_waiting(run: RunIdentity, why: str) -> None:
    """A run that waits for another of its connection. Called by a task."""
    _write(run, RunReport(run.connection), "WAITING", why)


@step
def record_end(run: RunIdentity, report: RunReport) -> None:
    nothing = not (report.imported or report.failed or report.exports)
    _write(run, report, "FAILED" if not report.succeeded else "NOTHING_TO_DO" if nothing else "COMPLETE", headline(report))


@step
def record_idle(run: RunIdentity, why: str) -> None:
    """A run of what is switched off (SPEC C4)."""
    _write(run, RunReport(run.connection), "NOTHING_TO_DO", why)


@step
def record_failure(run: RunIdentity, report: RunReport, why: str) -> None:
    """A run that something unforeseen ended."""
    _write(run, report, "FAILED", why)


def _write(run: RunIdentity, report: RunReport, state: RunState, reason: str) -> None:
    record = RunRecord(
        run_id=run.run_id,
        connection=run.connection,
        goal=run.goal,
        state=state,
        started=run.started,
        ended="" if state in runs.GOING_ON else runs.now(),
        reason=reason,
        files=files_of(report),
        skipped=left_of(report),
    )
    with opened() as context:
        runs.write_run(context.store, record)
