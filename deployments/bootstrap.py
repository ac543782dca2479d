"""What Headrace needs in a Prefect server: the work pool, the deployments that people start, the automation against zombies.

`bootstrap()` and `deploy_connection()` can be called again, and from several places at once, at any time: each ends with one of everything,
as `deployments.deployed` lists it, and leaves alone what users added (schedules, pauses of standing deployments, the pool's concurrency limit).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError
from prefect.workers.process import ProcessWorker

from deployments.deployed import DEPLOYED
from deployments.forms import ANY_CONNECTION, TAG, DeployedFlow, DeploymentForm
from deployments.schedules import OURS
from deployments.zombies import HEARTBEAT_SECONDS, SILENCE, ensure_zombie_automation
from headrace.connections import Connection
from headrace.errors import ConfigurationError

WORK_POOL = "headrace"
DEFAULT_QUEUE = "default"
"""Of a work pool, as Prefect makes it."""

RUNS_AT_ONCE = 3
"""Processes of one work queue, a connection's as a rule: a run that goes on, one that waits for it, and one to say that it need not wait too.
Ticks behind these start none before one of them ends. It is the queue's limit, not the deployment's: that one ends a run whose Prefect server
was away for minutes."""

JOB_VARIABLES: dict[str, Any] = {"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS)}}
"""In the deployment, so that every run sends heartbeats whatever the environment of the Prefect worker says."""


@dataclass(frozen=True)
class Bootstrapped:
    """`deployments`: the standing ones, by name, as `prefect deployment run` takes it."""

    work_pool: str
    deployments: tuple[str, ...]
    automation_id: UUID


def bootstrap(silence: timedelta = SILENCE) -> Bootstrapped:
    """Work pool, standing deployments like `import-profiles/any-connection`, zombie automation, in the Prefect server that `PREFECT_API_URL` names.

    `silence`: how long a run may send no sign of life before it counts as crashed; at least 10 seconds.
    """
    standing = []
    with get_client(sync_client=True) as client:
        _ensure_work_pool(client)
        for one in DEPLOYED:
            if one.standing is not None:
                form = one.standing()
                _put_schedules(client, _put_deployment(client, one, form), form.schedules)
                standing.append(one.deployment_name(form.name))
        automation = ensure_zombie_automation(client, TAG, silence)
    return Bootstrapped(WORK_POOL, tuple(standing), automation.id)


def deploy_connection(connection: Connection) -> tuple[str, ...]:
    """The connection's own deployments, like `import-profiles/<connection>`, and none that it has no use for any more: their names.

    Of a connection that is off, they stay, paused: their history is there, their schedules rest (SPEC C4).
    `bootstrap` has been called before: the work pool exists. ConfigurationError for a name that Headrace's own deployments have.
    """
    if connection.name == ANY_CONNECTION:
        raise ConfigurationError(
            [f"connection {ANY_CONNECTION}: this is the name of the deployment for all connections; choose another name"]
        )
    names = []
    with get_client(sync_client=True) as client:
        for one in DEPLOYED:
            if one.of_connection is None:
                continue
            form = one.of_connection(connection)
            if form is None:
                _remove_deployment(client, one.deployment_name(connection.name))
                continue
            deployment_id = _put_deployment(client, one, form)
            client.update_deployment(deployment_id, DeploymentUpdate(paused=not connection.enabled))
            _put_schedules(client, deployment_id, form.schedules)
            names.append(one.deployment_name(form.name))
    return tuple(names)


def remove_connection(name: str) -> None:
    """No deployment of this connection any more; its past runs stay in Prefect. Nothing happens where there is none."""
    with get_client(sync_client=True) as client:
        for one in DEPLOYED:
            if one.of_connection is not None:
                _remove_deployment(client, one.deployment_name(name))
        with suppress(ObjectNotFound):
            client.delete_work_queue_by_id(client.read_work_queue_by_name(name, WORK_POOL).id)


def _remove_deployment(client: SyncPrefectClient, name: str) -> None:
    try:
        client.delete_deployment(client.read_deployment_by_name(name).id)
    except ObjectNotFound:
        return  # there is none, or somebody else has just removed it


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


def _ensure_work_queue(client: SyncPrefectClient, name: str) -> None:
    """For the runs of one connection, or of all domains. A limit that somebody set is left alone."""
    with suppress(ObjectAlreadyExists):
        client.create_work_queue(name, f"The runs of {name}.", concurrency_limit=RUNS_AT_ONCE, work_pool_name=WORK_POOL)


def _put_schedules(client: SyncPrefectClient, deployment_id: UUID, wanted: Iterable[DeploymentScheduleCreate]) -> None:
    """Those that are ours become as wanted; one that is so already, switched off by somebody perhaps, and those of others stay as they are."""
    there = _schedules(client, deployment_id)
    new = []
    for one in wanted:
        stored = there.pop(one.slug or "", None)
        if stored is not None and stored.schedule == one.schedule:
            continue
        if stored is not None:
            _delete_schedule(client, deployment_id, stored)
        new.append(one)
    for stored in there.values():
        _delete_schedule(client, deployment_id, stored)
    if new:
        try:
            client.create_deployment_schedules(deployment_id, new)
        except PrefectHTTPStatusError:
            if any(one.slug not in _schedules(client, deployment_id) for one in new):
                raise
            # Somebody else has just made them: there is one of each slug.


def _delete_schedule(client: SyncPrefectClient, deployment_id: UUID, schedule: DeploymentSchedule) -> None:
    with suppress(ObjectNotFound):  # somebody else has just removed it
        client.delete_deployment_schedule(deployment_id, schedule.id)


def _schedules(client: SyncPrefectClient, deployment_id: UUID) -> dict[str, DeploymentSchedule]:
    """Ours, by slug."""
    return {one.slug: one for one in client.read_deployment_schedules(deployment_id) if one.slug and one.slug.startswith(OURS)}


def _put_deployment(client: SyncPrefectClient, deployed: DeployedFlow, form: DeploymentForm) -> UUID:
    """Creates it, or changes what is there: Prefect's own "create" would also delete the schedules that users made."""
    if form.work_queue is not None:
        _ensure_work_queue(client, form.work_queue)
    try:
        existing = client.read_deployment_by_name(deployed.deployment_name(form.name))
    except ObjectNotFound:
        return client.create_deployment(
            flow_id=client.create_flow(deployed.flow),
            name=form.name,
            description=form.description,
            tags=list(form.tags),
            parameters=dict(form.parameters),
            parameter_openapi_schema=dict(form.schema),
            enforce_parameter_schema=True,
            entrypoint=deployed.entrypoint,
            work_pool_name=WORK_POOL,
            work_queue_name=form.work_queue,
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
                "entrypoint": deployed.entrypoint,
                "work_pool_name": WORK_POOL,
                "work_queue_name": form.work_queue or DEFAULT_QUEUE,
                "job_variables": JOB_VARIABLES,
            }
        ),
    )
    return existing.id
