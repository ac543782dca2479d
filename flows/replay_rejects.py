"""The replay of a corrected file of rejects, as a Prefect flow (SPEC B2).

How a run ends: Completed, when every line that could be replayed was, whatever was rejected again; Failed, when the file is not what it must be, or
an outage or a fault ended it. Then it may be started again: no line is replayed twice.
"""

from __future__ import annotations

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from headrace.errors import HeadraceError
from profile_store.runs import now
from tasks.progress_bar import FilePart, ProgressBar
from tasks.record_run import RunIdentity
from tasks.replay_rejects import publish_replay, replay
from tasks.replay_report import headline


@flow(name="replay-rejects", persist_result=False)
def replay_rejects(connection: str, file: str) -> State[None]:
    """Replays rejected rows and cells that were corrected, each at most once.

    Args:
        connection: Name of the connection whose import rejected them.
        file: The corrected file of rejects: s3://BUCKET/KEY, or its key in the bucket that the connection imports from.
    """
    run = RunIdentity(str(flow_run.id), connection, "", now())
    bar = ProgressBar.create(connection)
    try:
        report = replay(run, file, bar.of_file(FilePart(file.rpartition("/")[2], "", 0.0, 100.0, 0)))
    except HeadraceError as error:
        return Failed(message=str(error))
    bar.draw_now(100.0, headline(report))
    publish_replay(report)
    return Completed(message=headline(report)) if report.succeeded else Failed(message=headline(report))
