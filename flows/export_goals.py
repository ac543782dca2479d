"""The part of a run that exports: some goals, one after the other. Orchestration only: each step is a task."""

from __future__ import annotations

import time
from collections.abc import Sequence

from headrace.errors import HeadraceError
from headrace.run_work import GoalWork
from tasks.close_export import close_export, settle_exports
from tasks.export_report import ExportReport
from tasks.progress_bar import FilePart, ProgressBar
from tasks.record_run import RunIdentity, record_progress
from tasks.run_report import RunReport
from tasks.write_export import write_export


def export_goals(run: RunIdentity, goals: Sequence[GoalWork], report: RunReport, bar: ProgressBar, begin: float) -> None:
    """In their listed order; one that fails keeps no other from being written. `begin`: of its part of the bar, which ends at 100."""
    width = (100.0 - begin) / len(goals)
    for number, work in enumerate(goals):
        export = ExportReport(work.goal, work.domain, work.place)
        report.exports.append(export)
        place = f" ({number + 1} of {len(goals)})" if len(goals) > 1 else ""
        began = time.monotonic()
        try:
            settle_exports(run.connection, work.domain)
            export.written = write_export(
                run.connection, work.goal, bar.of_file(FilePart(work.goal, place, begin + number * width, width, 0))
            )
            close_export(run.connection, work.domain, export.written.export_id)
        except HeadraceError as error:
            export.failed = str(error)
        export.seconds = time.monotonic() - began
        record_progress(run, report)
