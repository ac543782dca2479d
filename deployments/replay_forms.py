"""The deployments of the flow that replays rejects."""

from __future__ import annotations

from deployments.forms import DeployedFlow, DeploymentForm, schema_of_connection, tags_of
from flows.replay_rejects import replay_rejects
from headrace.connections import Connection


def _of_connection(connection: Connection) -> DeploymentForm | None:
    """Its name filled in. None where nothing is imported: then nothing is rejected."""
    if not connection.import_goals:
        return None
    schema = schema_of_connection(replay_rejects, connection)
    schema["required"] = ["file"]
    return DeploymentForm(
        name=connection.name,
        description="Replays a file of rejects that was corrected and put into S3: its rows and cells, each at most once.",
        tags=tags_of(connection),
        parameters={"connection": connection.name},
        schema=schema,
    )


REPLAY_REJECTS = DeployedFlow(replay_rejects, of_connection=_of_connection)
