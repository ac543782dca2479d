"""Write the rejected rows and cells of an import beside its file (SPEC B2)."""

from __future__ import annotations

from prefect.logging import get_run_logger

from headrace.outcomes import Outcomes
from streaming.importing import write_rejects as writing
from streaming.importing.context import Report
from streaming.importing.write_rejects import RejectsFile
from tasks.opened import ImportNumber, opened, registration_of
from tasks.step import step


@step
def write_rejects(number: ImportNumber, outcomes: Outcomes, report: Report) -> RejectsFile:
    with opened(report) as context:
        written = writing.write_rejects(context, registration_of(context, number), outcomes.rejected + outcomes.cells)
    if written.problem:
        get_run_logger().warning("%s", written.problem)
    return written
