"""The part of a run that imports: the files of some goals, one after the other. Orchestration only: each step is a task."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from headrace.errors import ConfigurationError, HeadraceError, TerminalError
from headrace.run_work import GoalWork
from object_store.versions import ObjectVersion
from streaming.importing.context import ImportEndedError, Report
from tasks.await_outcomes import await_outcomes
from tasks.await_turn import await_turn, driving
from tasks.close_import import close_import, fail_import
from tasks.opened import ImportNumber
from tasks.progress_bar import ProgressBar, parts_of
from tasks.publish_report import publish_rejects
from tasks.publish_rows import publish_rows
from tasks.read_result import read_result
from tasks.record_run import RunIdentity, record_progress
from tasks.register_import import register_import
from tasks.run_report import FailedFile, FileName, GoalReport, ImportedFile, LeftFile, RunReport
from tasks.scan_goal import scan_goal
from tasks.settle_pins import settle_pins
from tasks.write_rejects import write_rejects


def import_goals(run: RunIdentity, goals: Sequence[GoalWork], report: RunReport, bar: ProgressBar, end: float) -> None:
    """All goals are looked through first, so that the bar knows the whole; then file by file, in order (SPEC I13). `end`: of its part of the bar."""
    found = [(goal, version) for work in goals for goal, version in _wanted_files(run, work, report)]
    parts = parts_of([(version.key.rpartition("/")[2], version.size) for _, version in found], end)
    for (goal, version), part in zip(found, parts, strict=True):
        if not goal.stopped:
            _import_file(run, goal, version, bar.of_file(part))
            record_progress(run, report)


def _wanted_files(run: RunIdentity, work: GoalWork, report: RunReport) -> list[tuple[GoalReport, ObjectVersion]]:
    goal = GoalReport(work.goal, work.domain, work.place)
    report.goals.append(goal)
    try:
        settle_pins(run.connection, work.domain)
        files = scan_goal(run.connection, work.goal)
    except HeadraceError as error:
        goal.stopped = str(error)
        return []
    goal.left += [LeftFile(FileName(file.version.bucket, file.version.key), file.reason) for file in files if not file.wanted]
    return [(goal, file.version) for file in files if file.wanted]


def _import_file(run: RunIdentity, goal: GoalReport, version: ObjectVersion, report: Report) -> None:
    file = FileName(version.bucket, version.key)
    try:
        number = register_import(run.connection, goal.goal, version, run.run_id)
    except ConfigurationError as error:
        goal.stopped = str(error)
        return
    except TerminalError as error:
        goal.failed.append(FailedFile(file, 0, str(error)))
        return
    except HeadraceError as error:
        # An outage; or Redis came back without imports that Kafka knows of, which is no fault of this file.
        goal.stopped = str(error)
        return
    try:
        if await_turn(number, run.run_id, report):
            with driving(number, run.run_id):
                _drive(run, goal, file, number, report)
        else:
            _take_over_result(goal, file, number)
    except HeadraceError as error:
        goal.stopped = f"{error} Import {number.import_seq} of {file.location} stays open; the next run of the domain finishes it."


def _drive(run: RunIdentity, goal: GoalReport, file: FileName, number: ImportNumber, report: Report) -> None:
    """An import whose turn it is, to its end. Raises what leaves it open."""
    began = time.monotonic()
    try:
        totals = publish_rows(number, report)
        outcomes = await_outcomes(number, totals, report)
        seconds = time.monotonic() - began
        rejects = write_rejects(number, outcomes, report)
    except TerminalError as error:
        fail_import(number, error)
        _take_over_result(goal, file, number)
        return
    except ImportEndedError:
        _take_over_result(goal, file, number)
        return
    close_import(number, outcomes, rejects.key)
    reasons = Counter(one.reason.value for one in rejects.sample)
    imported = ImportedFile(file, number.import_seq, outcomes, seconds, rejects.key, reasons)
    goal.imported.append(imported)
    publish_rejects(run.connection, imported, rejects.sample)


def _take_over_result(goal: GoalReport, file: FileName, number: ImportNumber) -> None:
    """What is on record of an import that ended otherwise than by our own count: another run's result, or why it failed."""
    result = read_result(number)
    if result.complete:
        goal.imported.append(ImportedFile(file, number.import_seq, result.outcomes, 0.0, result.rejects_key))
    else:
        goal.failed.append(FailedFile(file, number.import_seq, result.reason, result.outcomes, result.rejects_key))
