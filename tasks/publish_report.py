"""The artifacts of a run: its summary, and a table of rejects for each file that has some. No cell values (DESIGN §4, SPEC C2)."""

from __future__ import annotations

from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from headrace.outcomes import Reject
from tasks.progress_bar import artifact_key
from tasks.run_report import ImportedFile, RunReport, headline, left_table, summary_markdown


def publish_summary(report: RunReport) -> None:
    """For a run that found nothing to do also a table of what the ledger says of each file."""
    create_markdown_artifact(summary_markdown(report), key=artifact_key(report.connection, "summary"), description=headline(report))
    if report.succeeded and report.left and not report.imported and not report.exports:
        create_table_artifact(left_table(report), key=artifact_key(report.connection, "nothing-to-do"), description=headline(report))


def publish_rejects(connection: str, file: ImportedFile, sample: Sequence[Reject]) -> None:
    """`sample`: the first rejects. A row reject has no column."""
    if not sample:
        return
    rejects = file.outcomes.rejected + file.outcomes.cells
    shown = f"{rejects:,} rejects" if len(sample) == rejects else f"The first {len(sample):,} of {rejects:,} rejects"
    create_table_artifact(
        [{"line": one.line, "column": one.column or "", "code": one.reason.value, "message": one.reason.message} for one in sample],
        key=artifact_key(connection, "rejects"),
        description=f"{shown} of {file.file.key}. With the raw rows: {file.rejects}",
    )
