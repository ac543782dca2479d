"""The deployments of the flows that run goals: one for each kind of them, and one for all that a connection does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from prefect import Flow

from deployments.forms import ANY_CONNECTION, TAG, DeployedFlow, DeploymentForm, offer, parameter_schema, schema_of_connection, tags_of
from deployments.schedules import prefect_schedules
from flows.export_profiles import export_profiles
from flows.import_groups import import_groups
from flows.import_profiles import import_profiles
from flows.run_connection import run_connection
from flows.run_goals import EVERY_GOAL
from headrace.connection_checks import domain_name
from headrace.connections import Connection
from headrace.goal_choice import EVERYTHING, EXPORTS, GROUPS, PROFILES, Kinds, goals_of
from headrace.goals import ExportProfilesGoal, Goal


def _of_any(flow: Flow[..., Any], does: str) -> DeploymentForm:
    return DeploymentForm(
        name=ANY_CONNECTION,
        description=f"{does} A connection that has been applied has a deployment of its own, with its goals to choose from.",
        tags=(TAG,),
        parameters={},
        schema=parameter_schema(flow),
    )


def _of_connection(flow: Flow[..., Any], kinds: Kinds, which: str, connection: Connection) -> DeploymentForm | None:
    """Its name filled in, its goals to choose from. None where it has none of these kinds."""
    goals = goals_of(connection, kinds=kinds)
    if not goals:
        return None
    schema = schema_of_connection(flow, connection)
    offer(
        schema, "goal", [EVERY_GOAL, *(goal.id for goal in goals)], f"One of its goals{which}, or every active one in their listed order."
    )
    return DeploymentForm(
        name=connection.name,
        description=_description(connection, goals),
        tags=tags_of(connection),
        parameters={"connection": connection.name, "goal": EVERY_GOAL},
        schema=schema,
        work_queue=connection.name,
    )


def _run_connection(connection: Connection) -> DeploymentForm | None:
    """The one that the connection's schedules start (SPEC R2)."""
    form = _of_connection(run_connection, EVERYTHING, "", connection)
    return None if form is None else replace(form, schedules=prefect_schedules(connection.schedule))


def _description(connection: Connection, goals: Sequence[Goal]) -> str:
    lines = [connection.description, *(f"- `{goal.id}`: {goal.name}, {_does(goal)}{_off(goal)}" for goal in goals)]
    return "\n".join(line for line in lines if line)


def _does(goal: Goal) -> str:
    if isinstance(goal, ExportProfilesGoal):
        return f"segment {goal.segment} of domain {goal.domain} to s3://{goal.destination.bucket}/{goal.destination.directory}"
    return f"into domain {domain_name(goal)}"


def _off(goal: Goal) -> str:
    return "" if goal.active else " (not active)"


RUN_CONNECTION = DeployedFlow(
    run_connection,
    standing=partial(_of_any, run_connection, "Runs every active goal of any connection."),
    of_connection=_run_connection,
)
IMPORT_PROFILES = DeployedFlow(
    import_profiles,
    standing=partial(_of_any, import_profiles, "Imports the new and changed files of any connection."),
    of_connection=partial(_of_connection, import_profiles, PROFILES, " that import profiles"),
)
IMPORT_GROUPS = DeployedFlow(import_groups, of_connection=partial(_of_connection, import_groups, GROUPS, " that import groups"))
EXPORT_PROFILES = DeployedFlow(export_profiles, of_connection=partial(_of_connection, export_profiles, EXPORTS, " that export"))
