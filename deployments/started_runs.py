"""What the command line asks of Prefect: put deployments in place, start a run, look how far it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterType
from prefect.exceptions import ObjectNotFound
from prefect.states import Scheduled
from prefect.utilities.urls import url_for

from headrace.connections import Connection
from headrace.errors import TerminalError
from tasks.prefect_answers import answering

DEPLOYMENTS = ("run-connection/{connection}", "run-connection/any-connection")
"""As `deployments.bootstrap` makes them: the connection's own, else the one for any. Spelled here too, since to import that one takes seconds."""

_BAR = re.compile(r"^[█░]+ \d+ % ")
"""In front of a progress artifact's text: the terminal draws its own."""


@dataclass(frozen=True)
class StartedRun:
    """`url`: of its page in the Prefect UI, empty where that is not known."""

    run_id: str
    url: str


@dataclass(frozen=True)
class RunSeen:
    """A run as Prefect knows it now. `percent` None: it has not come so far that it says."""

    state: str
    name: str
    message: str
    ended: bool
    percent: float | None
    text: str


def deploy(connections: Iterable[Connection]) -> list[str]:
    """Prefect's work pool, automation and standing deployments, and those of each connection: the names of these."""
    from deployments.bootstrap import bootstrap, deploy_connection

    with answering():
        bootstrap()
        return [name for one in connections for name in deploy_connection(one)]


def undeploy(connection: str) -> None:
    """No deployment of the connection any more."""
    from deployments.bootstrap import remove_connection

    with answering():
        remove_connection(connection)


def start_run(connection: str, goal: str) -> StartedRun:
    """Start a run of a connection, of all its goals where `goal` is empty.

    Raises TransientError; TerminalError NOT_DEPLOYED where Prefect knows no deployment for it.
    """
    with answering(), get_client(sync_client=True) as client:
        deployment_id = _deployment(client, connection)
        # Without a goal, the deployment's own default counts: every goal.
        parameters = {"connection": connection} | ({"goal": goal} if goal else {})
        run = client.create_flow_run_from_deployment(deployment_id, parameters=parameters, state=Scheduled())
    return StartedRun(str(run.id), url_for("flow-run", obj_id=run.id) or "")


def look_at_run(run_id: str) -> RunSeen:
    """Raises TransientError while Prefect does not answer."""
    with answering(), get_client(sync_client=True) as client:
        state = client.read_flow_run(UUID(run_id)).state
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(
                flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(run_id)]), type=ArtifactFilterType(any_=["progress"])
            )
        )
    percent, text = None, ""
    if found:
        percent = float(found[0].data) if isinstance(found[0].data, int | float) else None
        text = _BAR.sub("", found[0].description or "")
    if state is None:
        return RunSeen("PENDING", "Pending", "", ended=False, percent=percent, text=text)
    return RunSeen(state.type.value, state.name or state.type.value, state.message or "", state.is_final(), percent, text)


def _deployment(client: SyncPrefectClient, connection: str) -> UUID:
    for name in DEPLOYMENTS:
        try:
            return client.read_deployment_by_name(name.format(connection=connection)).id
        except ObjectNotFound:
            continue
    raise TerminalError(
        f"Prefect has no deployment for connection {connection}.",
        code="NOT_DEPLOYED",
        hint="`headrace apply` its file while PREFECT_API_URL is set, or run it in this process with --here.",
    )
