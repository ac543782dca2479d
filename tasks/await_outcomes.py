"""Wait until the workers have counted every row of an import, durably (SPEC R4)."""

from __future__ import annotations

from headrace.outcomes import Outcomes
from streaming.importing import await_outcomes as waiting
from streaming.importing.context import Report
from streaming.split.splitter import SplitTotals
from tasks.opened import ImportNumber, opened, registration_of
from tasks.step import step


@step
def await_outcomes(number: ImportNumber, totals: SplitTotals, report: Report) -> Outcomes:
    with opened(report) as context:
        return waiting.await_outcomes(context, registration_of(context, number), totals)
