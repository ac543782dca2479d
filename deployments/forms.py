"""What a deployment shows and starts with, and the pieces that forms are made of.

Forms stay flat and every field says what it is: nested models and optional fields render badly in the Prefect UI (DESIGN §4).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from prefect import Flow
from prefect.client.schemas.actions import DeploymentScheduleCreate

from headrace.connections import Connection

TAG = "headrace"
ANY_CONNECTION = "any-connection"


@dataclass(frozen=True)
class DeploymentForm:
    """A deployment of a flow. `schema`: of its parameters, as the form shows them; `parameters`: what is filled in.

    `schedules`: when it runs by itself, all with a slug that begins with `deployments.schedules.OURS`.
    `work_queue`: one of the pool that its runs wait in; None: the pool's own.
    """

    name: str
    description: str
    tags: tuple[str, ...]
    parameters: Mapping[str, Any]
    schema: Mapping[str, Any]
    schedules: Sequence[DeploymentScheduleCreate] = ()
    work_queue: str | None = None


@dataclass(frozen=True)
class DeployedFlow:
    """A flow that people start from Prefect.

    `standing`: its deployment that is there whatever connections there are; None: it has none.
    `of_connection`: its deployment for one connection, which is named after it; None where this one has no use for it.
    """

    flow: Flow[..., Any]
    standing: Callable[[], DeploymentForm] | None = None
    of_connection: Callable[[Connection], DeploymentForm | None] | None = None

    @property
    def entrypoint(self) -> str:
        """By module, not by path: the Prefect worker's own installation of Headrace runs it, wherever it was deployed from."""
        return f"{self.flow.fn.__module__}.{self.flow.fn.__name__}"

    def deployment_name(self, form_name: str) -> str:
        """As `prefect deployment run` and `run_deployment` take it."""
        return f"{self.flow.name}/{form_name}"


def parameter_schema(flow: Flow[..., Any]) -> dict[str, Any]:
    """A copy, to be changed."""
    return deepcopy(flow.parameters.model_dump_for_openapi())


def schema_of_connection(flow: Flow[..., Any], connection: Connection) -> dict[str, Any]:
    """The flow's form with its parameter `connection` filled in, and nothing required: else "Quick run" would ask."""
    schema = parameter_schema(flow)
    schema.pop("required", None)
    offer(schema, "connection", [connection.name], "The connection that this deployment is for.")
    return schema


def offer(schema: dict[str, Any], field: str, choices: Sequence[str], description: str) -> None:
    """A list to choose from, in place of a text field; the first is filled in."""
    schema["properties"][field] |= {"enum": list(choices), "default": choices[0], "description": description}


def tags_of(connection: Connection) -> tuple[str, ...]:
    return (TAG, *(label for label in connection.labels if label != TAG))
