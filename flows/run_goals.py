"""What the flows that run goals have in common: a run over a connection's goals. Orchestration only: each step is a task.

How a run ends (SPEC C4, R1):
- Completed, when every new or changed file was imported, whatever was rejected, and every export is written; also when there was nothing to do, and
  when the connection is off or no goal is active: that is what somebody wanted, and the state's message says it.
- Failed, when the connection or goal does not exist, or an import or export failed. The other files are imported and exported all the same, except
  where an outage stops an import goal: its import stays open, and the next run of the domain takes it up.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from prefect import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.export_goals import export_goals
from flows.import_goals import import_goals
from headrace.errors import HeadraceError
from headrace.goal_choice import Kinds
from headrace.run_work import GoalWork
from profile_store.runs import now
from tasks.close_lost_runs import close_lost_runs
from tasks.find_work import find_work
from tasks.mail_report import mail_report
from tasks.progress_bar import ProgressBar
from tasks.publish_history import publish_history
from tasks.publish_report import publish_summary
from tasks.record_run import RunIdentity, record_end, record_failure, record_idle, record_progress
from tasks.run_report import RunReport, headline
from tasks.run_turn import await_run_turn, holding_turn

EVERY_GOAL = "every active goal"
"""What a form offers for "no goal in particular"; no id of a goal has blanks."""
IMPORTS_PERCENT = 80.0
"""Of the bar, where a run exports too."""


def run_goals(connection: str, goal: str, kinds: Kinds) -> State[None]:
    """One run: the goal of that id, or every active one of these kinds, in their listed order (SPEC I13). Called by a flow."""
    run = RunIdentity(str(flow_run.id), connection, "" if goal == EVERY_GOAL else goal, now())
    report = RunReport(connection)
    try:
        idle = _in_turn(run, kinds, report)
    except HeadraceError as error:
        with suppress(HeadraceError):
            record_failure(run, report, str(error))
            mail_report(run, report)
        return Failed(message=str(error))
    except BaseException as error:
        # Not as a task: a run that is being cancelled starts none.
        with suppress(HeadraceError):
            record_failure.fn(run, report, f"The run was ended by {type(error).__name__}; its log in Prefect says more.")
            mail_report(run, report)
        raise
    if idle:
        record_idle(run, idle)
        return Completed(message=idle)
    publish_summary(report)
    record_end(run, report)
    with suppress(HeadraceError):  # a picture; what it shows is on record
        publish_history(run.connection)
    mail_report(run, report)
    return Completed(message=headline(report)) if report.succeeded else Failed(message=headline(report))


def _in_turn(run: RunIdentity, kinds: Kinds, report: RunReport) -> str:
    """Why there is nothing to do, also where another run waits for its turn already (SPEC R2); empty where the goals were looked through."""
    idle = find_work(run.connection, run.goal, kinds).idle or await_run_turn(run, kinds)
    if idle:
        return idle
    with holding_turn(run, kinds):
        work = find_work(run.connection, run.goal, kinds)  # again: it may have been switched off while the run waited
        if not work.idle:
            _work_on(run, work.goals, report)
    return work.idle


def _work_on(run: RunIdentity, goals: Sequence[GoalWork], report: RunReport) -> None:
    """What a run imports is in what it exports."""
    close_lost_runs(run.connection, run.run_id)
    record_progress(run, report)
    bar = ProgressBar.create(run.connection)
    imports, exports = [one for one in goals if not one.exports], [one for one in goals if one.exports]
    begin = 0.0 if not imports else IMPORTS_PERCENT if exports else 100.0
    if imports:
        import_goals(run, imports, report, bar, begin)
    if exports:
        export_goals(run, exports, report, bar, begin)
    bar.draw_now(100.0, headline(report))
