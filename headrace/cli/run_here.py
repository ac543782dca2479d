"""A run in this process, without Prefect: the same steps as the flow, in the same order, with the same record (SPEC I13, R1)."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from headrace.cli.progress import Draw
from headrace.connections import Connection
from headrace.errors import ConfigurationError, HeadraceError, TerminalError
from headrace.goal_choice import EVERYTHING
from headrace.goals import ExportProfilesGoal, Goal
from object_store.versions import ObjectVersion
from profile_store.runs import GOING_ON, RunRecord, RunState, now, write_run
from streaming.exporting.close_export import close_export, settle_exports
from streaming.exporting.write_export import write_export
from streaming.importing.await_run_turn import await_run_turn, holding_turn, scope_of
from streaming.importing.await_turn import finish
from streaming.importing.close import COMPLETE, ImportResult
from streaming.importing.context import ImportContext, Progress
from streaming.importing.pinned_copy import settle_pins
from streaming.importing.plan import AnyImportGoal, domain_of
from streaming.importing.register import register_import
from streaming.importing.scan import scan_goal
from tasks.export_report import ExportReport
from tasks.run_report import FailedFile, FileName, GoalReport, ImportedFile, LeftFile, RunReport, files_of, headline, left_of


@dataclass
class HereRun:
    """What a run works with, and what it has done so far."""

    context: ImportContext
    connection: Connection
    record: RunRecord
    report: RunReport
    draw: Draw

    def write(self, state: RunState = "RUNNING", reason: str = "") -> RunRecord:
        """Into the history, as it stands."""
        record, report = self.record, self.report
        record.state, record.reason, record.ended = state, reason, "" if state in GOING_ON else now()
        record.files, record.skipped = files_of(report), left_of(report)
        write_run(self.context.store, record)
        return record


def run_here(context: ImportContext, connection: Connection, goals: Sequence[Goal], asked: str, draw: Draw) -> RunRecord:
    """`asked`: the goal that was asked for, empty for all. An outage stops its goal; the import stays open, the next run finishes it.

    Waits for a run of the connection that goes on, wherever it does (SPEC R2).
    """
    record = RunRecord(uuid.uuid4().hex, connection.name, asked, started=now())
    run = HereRun(context, connection, record, RunReport(connection.name), draw)
    turn = (context.store, connection.name, scope_of(EVERYTHING, asked), record.run_id)
    try:
        spared = await_run_turn(*turn, lambda what: _wait(run, what))
        if spared:
            return run.write("NOTHING_TO_DO", spared)
        with holding_turn(*turn):
            run.write()
            for goal in goals:
                if isinstance(goal, ExportProfilesGoal):
                    _export_goal(run, goal)
                else:
                    _import_goal(run, goal)
    except BaseException as error:
        with suppress(HeadraceError):
            run.write("FAILED", f"The run was ended by {type(error).__name__}; the next run goes on where it was.")
        raise
    if not run.report.succeeded:
        return run.write("FAILED", headline(run.report))
    did = run.report.imported or run.report.exports
    return run.write("COMPLETE" if did else "NOTHING_TO_DO", headline(run.report))


def _wait(run: HereRun, what: str) -> None:
    run.draw(None, what)
    run.write("WAITING", f"Waiting: {what}.")


def _import_goal(run: HereRun, goal: AnyImportGoal) -> None:
    done = GoalReport(goal.id, domain_of(goal), f"s3://{goal.source.bucket}/{goal.source.directory}")
    run.report.goals.append(done)
    run.draw(None, f"goal {goal.id}: looking for files")
    try:
        settle_pins(run.context, done.domain, run.connection.name)
        files = scan_goal(run.context, run.connection, goal)
        done.left += [LeftFile(_name(file.version), file.reason) for file in files if not file.wanted]
        for file in files:
            if file.wanted:
                _import_file(run, goal, done, file.version)
                run.write()
    except HeadraceError as error:
        done.stopped = str(error)


def _export_goal(run: HereRun, goal: ExportProfilesGoal) -> None:
    place = goal.destination
    done = ExportReport(goal.id, goal.domain, f"s3://{place.bucket}/{place.directory}")
    run.report.exports.append(done)
    began = time.monotonic()

    def report(progress: Progress) -> None:
        percent = 100.0 * progress.done / progress.total if progress.total else None
        run.draw(percent, f"goal {goal.id}: {progress.done:,} of {progress.total:,} profiles")

    try:
        settle_exports(run.context, goal.domain, run.connection.name)
        done.written = write_export(replace(run.context, report=report), run.connection, goal)
        close_export(run.context.store, goal.domain, run.connection.name, done.written.export_id)
    except HeadraceError as error:
        done.failed = str(error)
    done.seconds = time.monotonic() - began
    run.write()


def _import_file(run: HereRun, goal: AnyImportGoal, done: GoalReport, version: ObjectVersion) -> None:
    """Raises what stops the goal: an outage, or a configuration that can't be run."""
    file = _name(version)
    try:
        registration = register_import(run.context, run.connection, goal, version, run.record.run_id)
    except ConfigurationError:
        raise
    except TerminalError as error:
        done.failed.append(FailedFile(file, 0, str(error)))
        return
    watch = _Watch(version, run.draw)
    result: ImportResult = finish(replace(run.context, report=watch.report), registration, run.record.run_id)
    if result.state == COMPLETE:
        done.imported.append(ImportedFile(file, registration.import_seq, result.outcomes, watch.seconds, result.rejects_key))
    else:
        done.failed.append(FailedFile(file, registration.import_seq, result.reason, result.outcomes, result.rejects_key))


@dataclass
class _Watch:
    """Draws how far an import is, and takes its time: from its turn to its last durable outcome, as the flow does."""

    version: ObjectVersion
    draw: Draw
    began: float | None = None
    counted: float | None = None

    @property
    def seconds(self) -> float:
        """0 where another run did the work."""
        if self.began is None:
            return 0.0
        return (self.counted or time.monotonic()) - self.began

    def report(self, progress: Progress) -> None:
        if progress.phase != "waiting" and self.began is None:
            self.began = time.monotonic()
        if progress.phase == "merging":
            self.counted = time.monotonic()
        total = self.version.size if progress.phase == "publishing" else progress.total
        said = progress.detail or f"{progress.done:,} of {progress.total:,}"
        percent = min(100.0 * progress.done / total, 100.0) if total else None
        self.draw(percent, f"{self.version.key.rpartition('/')[2]}: {progress.phase}, {said}")


def _name(version: ObjectVersion) -> FileName:
    return FileName(version.bucket, version.key)
