"""The everyday changes of goals, for people who work in the Prefect UI (SPEC C3): activate, deactivate, copy.

Here and not in flows/: a change is followed by a new deployment of the connection, whose forms list its goals.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from prefect import Flow, State, flow
from prefect.states import Completed, Failed

from deployments.forms import DeployedFlow, DeploymentForm, offer, schema_of_connection, tags_of
from headrace.connections import Connection
from headrace.errors import HeadraceError
from tasks import change_goal

LATER = "Who applies the connection's file later makes it as it says there."


@flow(name="activate-goal", persist_result=False)
def activate_goal(connection: str, goal: str) -> State[None]:
    """Lets runs take a goal in again.

    Args:
        connection: Name of the connection, as in its file connections/NAME.yaml.
        goal: Id of one of its goals.
    """
    return _ended(lambda: (change_goal.activate_goal(connection, goal), f"Goal {goal} is active."))


@flow(name="deactivate-goal", persist_result=False)
def deactivate_goal(connection: str, goal: str) -> State[None]:
    """Leaves a goal out of every run; what it has imported stays known.

    Args:
        connection: Name of the connection, as in its file connections/NAME.yaml.
        goal: Id of one of its goals.
    """
    return _ended(lambda: (change_goal.deactivate_goal(connection, goal), f"Goal {goal} is not active any more."))


@flow(name="copy-goal", persist_result=False)
def copy_goal(connection: str, goal: str, name: str) -> State[None]:
    """Makes a goal like another, which is not active and has imported nothing.

    Args:
        connection: Name of the connection, as in its file connections/NAME.yaml.
        goal: Id of the goal to copy.
        name: Of the copy, for people; its id is made of it.
    """

    def copied() -> tuple[Connection, str]:
        changed, made = change_goal.copy_goal(connection, goal, name)
        return changed, f"Goal {made} is a copy of {goal}, not active yet."

    return _ended(copied)


def _ended(change: Callable[[], tuple[Connection, str]]) -> State[None]:
    """`change`: gives the changed connection, which is deployed anew, and what to say."""
    from deployments.bootstrap import deploy_connection  # which lists these flows

    try:
        connection, said = change()
    except HeadraceError as error:
        return Failed(message=str(error))
    deploy_connection(connection)
    return Completed(message=f"{said} {LATER}")


def _of_connection(made: Flow[..., Any], description: str, connection: Connection) -> DeploymentForm | None:
    if not connection.goals:
        return None
    schema = schema_of_connection(made, connection)
    goals = [goal.id for goal in connection.goals]
    offer(schema, "goal", goals, "One of its goals.")
    filled = {"connection": connection.name, "goal": goals[0]}
    if "name" in schema["properties"]:
        schema["properties"]["name"]["default"] = filled["name"] = f"Copy of {connection.goals[0].name}"[:255]
    return DeploymentForm(connection.name, f"{description} {LATER}", tags_of(connection), filled, schema)


CHANGING: tuple[DeployedFlow, ...] = (
    DeployedFlow(activate_goal, of_connection=partial(_of_connection, activate_goal, "Lets runs take a goal in.")),
    DeployedFlow(deactivate_goal, of_connection=partial(_of_connection, deactivate_goal, "Leaves a goal out of every run.")),
    DeployedFlow(copy_goal, of_connection=partial(_of_connection, copy_goal, "Makes a goal like another, not active.")),
)
