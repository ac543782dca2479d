"""The import of a connection's new and changed files into profiles, as a Prefect flow. Orchestration only: each step is a task.

How a run ends (SPEC C4, R1):
- Completed, when every new or changed file was imported, whatever was rejected; also when there was nothing to do, and when the connection
  is off or no goal is active: that is what somebody wanted, and the state's message says it.
- Failed, when the connection or goal does not exist, or an import failed. The other files are imported all the same, except where an outage
  stops the goal: its import stays open, and the next run of the domain takes it up.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from headrace.errors import ConfigurationError, HeadraceError, TerminalError, TransientError
from object_store.versions import ObjectVersion
from profile_store.runs import now
from streaming.importing.await_outcomes import ImportEndedError
from streaming.importing.context import Report
from tasks.await_outcomes import await_outcomes
from tasks.await_turn import await_turn, driving
from tasks.close_import import close_import, fail_import
from tasks.close_lost_runs import close_lost_runs
from tasks.find_work import GoalWork, find_work
from tasks.opened import ImportNumber
from tasks.progress_bar import ProgressBar, parts_of
from tasks.publish_report import publish_rejects, publish_summary
from tasks.publish_rows import publish_rows
from tasks.read_result import read_result
from tasks.record_run import RunIdentity, record_end, record_failure, record_idle, record_progress
from tasks.register_import import register_import
from tasks.run_report import FailedFile, FileName, GoalReport, ImportedFile, LeftFile, RunReport, headline
from tasks.scan_goal import scan_goal
from tasks.write_rejects import write_rejects

EVERY_GOAL = "every active goal"
"""What a form offers for "no goal in particular"; no id of a goal has blanks."""


@flow(name="import-profiles", persist_result=False)
def import_profiles(connection: str, goal: str = "") -> State[None]:
    """Imports the files of a connection that are new or changed since their last import.

    Args:
        connection: Name of the connection, as in its file connections/NAME.yaml.
        goal: Id of one goal that imports profiles. Left empty: every active one of the connection, in their listed order.
    """
    run = RunIdentity(str(flow_run.id), connection, "" if goal == EVERY_GOAL else goal, now())
    try:
        work = find_work(connection, run.goal)
    except HeadraceError as error:
        return Failed(message=str(error))
    if work.idle:
        record_idle(run, work.idle)
        return Completed(message=work.idle)
    report = RunReport(connection)
    try:
        _import_goals(run, work.goals, report)
    except BaseException as error:
        # Not as a task: a run that is being cancelled starts none.
        with suppress(HeadraceError):
            record_failure.fn(run, report, f"The run was ended by {type(error).__name__}; its log in Prefect says more.")
        raise
    publish_summary(report)
    record_end(run, report)
    return Completed(message=headline(report)) if report.succeeded else Failed(message=headline(report))


def _import_goals(run: RunIdentity, goals: Sequence[GoalWork], report: RunReport) -> None:
    """All goals are looked through first, so that the bar knows the whole; then file by file, in order (SPEC I13)."""
    close_lost_runs(run.connection, run.run_id)
    record_progress(run, report)
    bar = ProgressBar.create(run.connection)
    found = [(goal, version) for work in goals for goal, version in _wanted_files(run, work, report)]
    parts = parts_of([(version.key.rpartition("/")[2], version.size) for _, version in found])
    for (goal, version), part in zip(found, parts, strict=True):
        if not goal.stopped:
            _import_file(run, goal, version, bar.of_file(part))
            record_progress(run, report)
    bar.draw_now(100.0, headline(report))


def _wanted_files(run: RunIdentity, work: GoalWork, report: RunReport) -> list[tuple[GoalReport, ObjectVersion]]:
    goal = GoalReport(work.goal, work.domain, work.place)
    report.goals.append(goal)
    try:
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
    except (ConfigurationError, TransientError) as error:
        goal.stopped = str(error)
        return
    except TerminalError as error:
        goal.failed.append(FailedFile(file, 0, str(error)))
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
        goal.failed.append(FailedFile(file, number.import_seq, result.reason, result.outcomes))
