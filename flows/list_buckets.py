"""The buckets that a connection's key can see, as an artifact (SPEC C5)."""

from __future__ import annotations

from prefect import State, flow
from prefect.artifacts import create_table_artifact
from prefect.states import Completed, Failed

from headrace.errors import HeadraceError
from tasks import look
from tasks.look_report import buckets_table
from tasks.progress_bar import artifact_key


@flow(name="list-buckets", persist_result=False)
def list_buckets(connection: str) -> State[None]:
    """Lists the buckets that the connection's key can see, and changes nothing.

    Args:
        connection: Name of the connection, as in its file connections/NAME.yaml.
    """
    try:
        buckets = look.list_buckets(connection)
    except HeadraceError as error:
        return Failed(message=str(error))
    said = f"{len(buckets):,} buckets." if len(buckets) != 1 else "1 bucket."
    create_table_artifact(buckets_table(buckets), key=artifact_key(connection, "buckets"), description=said)
    return Completed(message=said)
