"""Split a file and publish its row batches to Kafka, each confirmed. What is applied already is skipped."""

from __future__ import annotations

from streaming.importing import publish
from streaming.importing.context import Report
from streaming.split.splitter import SplitTotals
from tasks.opened import ImportNumber, opened, registration_of
from tasks.step import step


@step
def publish_rows(number: ImportNumber, report: Report) -> SplitTotals:
    with opened(report) as context:
        return publish.publish_rows(context, registration_of(context, number))
