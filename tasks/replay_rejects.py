"""Replay a corrected file of rejects, as a step of a flow."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact

from profile_store.runs import RunRecord
from streaming.importing.context import Report
from streaming.importing.corrected_place import open_corrected
from tasks.opened import opened
from tasks.progress_bar import artifact_key
from tasks.record_run import RunIdentity
from tasks.replay import replay_file
from tasks.replay_report import ReplayReport, headline, summary_markdown
from tasks.step import step


@step
def replay(run: RunIdentity, file: str, report: Report) -> ReplayReport:
    """`file`: `s3://bucket/key`, or a key in the connection's bucket. Raises TerminalError where it can't be replayed."""
    record = RunRecord(run.run_id, run.connection, run.goal, started=run.started)
    with opened(report) as context:
        return replay_file(context, record, file, lambda connection: open_corrected(context, connection, file))


def publish_replay(report: ReplayReport) -> None:
    """What became of each line, as an artifact."""
    create_markdown_artifact(summary_markdown(report), key=artifact_key(report.connection, "replay"), description=headline(report))
