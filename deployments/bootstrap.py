"""What Headrace needs in a Prefect server: the work pool, the deployments that people start, the automation against zombies.

`bootstrap()` and `deploy_connection()` can be called again, and from several places at once, at any time: each ends with one of everything,
as written here, and leaves alone what users added (schedules and pauses of `any-connection`, the pool's concurrency limit).

Deployments name their flow by module (`flows.import_profiles.import_profiles`), not by path: the Prefect worker's own installation of
Headrace runs it, wherever this was called from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.workers.process import ProcessWorker

from deployments.zombies import HEARTBEAT_SECONDS, SILENCE, ensure_zombie_automation
from flows.import_profiles import EVERY_GOAL, import_profiles
from headrace.connections import Connection
from headrace.errors import ConfigurationError
from headrace.goals import ImportProfilesGoal

WORK_POOL = "headrace"
TAG = "headrace"
ANY_CONNECTION = "any-connection"
ENTRYPOINT = "flows.import_profiles.import_profiles"

JOB_VARIABLES: dict[str, Any] = {"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS)}}
"""In the deployment, so that every run sends heartbeats whatever the environment of the Prefect worker says."""


@dataclass(frozen=True)
class Bootstrapped:
    work_pool: str
    deployment: str
    deployment_id: UUID
    automation_id: UUID


@dataclass(frozen=True)
class DeploymentForm:
    """What a deployment of `import_profiles` shows and starts with."""

    name: str
    description: str
    tags: tuple[str, ...]
    parameters: Mapping[str, str]
    schema: Mapping[str, Any]


def bootstrap(silence: timedelta = SILENCE) -> Bootstrapped:
    """Work pool, `import-profiles/any-connection`, zombie automation, in the Prefect server that `PREFECT_API_URL` names.

    `silence`: how long a run may send no sign of life before it counts as crashed; at least 10 seconds.
    """
    with get_client(sync_client=True) as client:
        _ensure_work_pool(client)
        form = DeploymentForm(
            name=ANY_CONNECTION,
            description="Imports the new and changed files of any connection. "
            "A connection that has been applied has a deployment of its own, with its goals to choose from.",
            tags=(TAG,),
            parameters={},
            schema=_parameter_schema(),
        )
        deployment_id = _put_deployment(client, form)
        automation = ensure_zombie_automation(client, TAG, silence)
    return Bootstrapped(WORK_POOL, deployment_name(ANY_CONNECTION), deployment_id, automation.id)


def deploy_connection(connection: Connection) -> UUID | None:
    """`import-profiles/<connection>`: its name filled in, its import goals to choose from. None where it has no import goal.

    Of a connection that is off, the deployment stays, paused: its history is there, its schedules rest (SPEC C4).
    `bootstrap` has been called before: the work pool exists. ConfigurationError for a name that Headrace's own deployment has.
    """
    if connection.name == ANY_CONNECTION:
        raise ConfigurationError(
            [f"connection {ANY_CONNECTION}: this is the name of the deployment for all connections; choose another name"]
        )
    goals = [goal for goal in connection.goals if isinstance(goal, ImportProfilesGoal)]
    if not goals:
        remove_connection(connection.name)
        return None
    with get_client(sync_client=True) as client:
        deployment_id = _put_deployment(client, connection_form(connection, goals))
        client.update_deployment(deployment_id, DeploymentUpdate(paused=not connection.enabled))
    return deployment_id


def remove_connection(name: str) -> None:
    """No deployment of this connection any more; its past runs stay in Prefect. Nothing happens where there is none."""
    with get_client(sync_client=True) as client:
        try:
            deployment = client.read_deployment_by_name(deployment_name(name))
        except ObjectNotFound:
            return
        try:
            client.delete_deployment(deployment.id)
        except ObjectNotFound:
            return  # somebody else has just done it


def deployment_name(connection: str) -> str:
    """As `prefect deployment run` and `run_deployment` take it."""
    return f"{import_profiles.name}/{connection}"


def connection_form(connection: Connection, goals: Sequence[ImportProfilesGoal]) -> DeploymentForm:
    schema = deepcopy(_parameter_schema())
    schema["properties"]["connection"] |= {
        "enum": [connection.name],
        "default": connection.name,
        "description": "The connection that this deployment is for.",
    }
    # All is filled in, so nothing is required: else "Quick run" would ask.
    schema.pop("required", None)
    schema["properties"]["goal"] |= {
        "enum": [EVERY_GOAL, *(goal.id for goal in goals)],
        "default": EVERY_GOAL,
        "description": "One of its goals that import profiles, or every active one in their listed order.",
    }
    lines = [connection.description, *(f"- `{goal.id}`: {goal.name}, into domain {goal.domain}{_off(goal)}" for goal in goals)]
    return DeploymentForm(
        name=connection.name,
        description="\n".join(line for line in lines if line),
        tags=(TAG, *(label for label in connection.labels if label != TAG)),
        parameters={"connection": connection.name, "goal": EVERY_GOAL},
        schema=schema,
    )


def _off(goal: ImportProfilesGoal) -> str:
    return "" if goal.active else " (not active)"


def _parameter_schema() -> dict[str, Any]:
    return import_profiles.parameters.model_dump_for_openapi()


def _ensure_work_pool(client: SyncPrefectClient) -> None:
    pool = WorkPoolCreate(
        name=WORK_POOL,
        type=ProcessWorker.type,
        description="Runs Headrace's flows as processes, where a Prefect worker of this pool runs.",
        base_job_template=ProcessWorker.get_default_base_job_template(),
    )
    try:
        client.create_work_pool(pool)
    except ObjectAlreadyExists:
        return


def _put_deployment(client: SyncPrefectClient, form: DeploymentForm) -> UUID:
    """Creates it, or changes what is there: Prefect's own "create" would also delete the schedules that users made."""
    try:
        existing = client.read_deployment_by_name(deployment_name(form.name))
    except ObjectNotFound:
        return client.create_deployment(
            flow_id=client.create_flow(import_profiles),
            name=form.name,
            description=form.description,
            tags=list(form.tags),
            parameters=dict(form.parameters),
            parameter_openapi_schema=dict(form.schema),
            enforce_parameter_schema=True,
            entrypoint=ENTRYPOINT,
            work_pool_name=WORK_POOL,
            job_variables=JOB_VARIABLES,
        )
    client.update_deployment(
        existing.id,
        DeploymentUpdate.model_validate(
            {
                "description": form.description,
                "tags": list(form.tags),
                "parameters": dict(form.parameters),
                "parameter_openapi_schema": dict(form.schema),
                "enforce_parameter_schema": True,
                "entrypoint": ENTRYPOINT,
                "work_pool_name": WORK_POOL,
                "job_variables": JOB_VARIABLES,
            }
        ),
    )
    return existing.id
