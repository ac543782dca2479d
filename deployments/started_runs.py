"""What the command line asks of Prefect: put deployments in place, start a run, look how far it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterType
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Scheduled
from prefect.utilities.urls import url_for

from headrace.connections import Connection
from headrace.errors import TerminalError, TransientError

DEPLOYMENTS = ("import-profiles/{connection}", "import-profiles/any-connection")
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
    """Prefect's work pool, automation and deployments, and one deployment for each connection that imports: their names."""
    from deployments.bootstrap import bootstrap, deploy_connection, deployment_name

    with answering():
        bootstrap()
        return [deployment_name(one.name) for one in connections if deploy_connection(one) is not None]


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


@contextmanager
def answering() -> Iterator[None]:
    """Prefect's outages and refusals as ours."""
    try:
        yield
    except PrefectHTTPStatusError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise TerminalError(
                f"Prefect refused the request ({status}).", code="PREFECT_DENIED", hint="Check PREFECT_API_KEY or PREFECT_API_AUTH_STRING."
            ) from None
        raise TransientError(f"Prefect answered {status}.", code="PREFECT_UNAVAILABLE", hint="The log of its server says more.") from None
    except (httpx.HTTPError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "Failed to reach API" not in str(error):
            raise
        raise TransientError(
            f"Prefect does not answer ({type(error).__name__}).",
            code="PREFECT_UNAVAILABLE",
            hint="Check PREFECT_API_URL, and that its server runs.",
        ) from None


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
