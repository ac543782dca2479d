"""Runs of a connection that died without a word: Headrace's history learns it from Prefect when the next run begins (SPEC R1)."""

from __future__ import annotations

from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger

from profile_store import runs
from tasks.notify import notify
from tasks.opened import opened
from tasks.step import step

CRASHED = "The run crashed; the next one has taken its work up."
FORGOTTEN = "The run is not known to Prefect any more; it can't be going on."


@step
def close_lost_runs(connection: str, run_id: str) -> None:
    """`run_id`: the run that asks, which goes on. Nobody has been told of the others' end, so this is done here (SPEC C6)."""
    with opened() as context:
        for record in runs.list_runs(context.store, connection):
            if record.state in runs.GOING_ON and record.run_id != run_id and (why := _why_over(record.run_id)):
                record.state, record.reason, record.ended = "FAILED", why, runs.now()
                runs.write_run(context.store, record)
                if said := notify(context.store, record, {}):
                    get_run_logger().info("About run %s, which was lost: %s", record.run_id, said)


def _why_over(run_id: str) -> str:
    """Empty for a run that goes on."""
    with get_client(sync_client=True) as client:
        try:
            state = client.read_flow_run(UUID(run_id)).state
        except ObjectNotFound:
            return FORGOTTEN
    return CRASHED if state is not None and state.is_final() else ""
