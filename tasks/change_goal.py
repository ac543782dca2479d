"""Changes of a goal, as stored (SPEC C3, C4)."""

from __future__ import annotations

from headrace.connections import Connection
from streaming.importing import change_goals
from tasks.opened import opened
from tasks.step import step


@step
def activate_goal(connection: str, goal: str) -> Connection:
    with opened() as context:
        return change_goals.set_activity(context.store, connection, goal, active=True)


@step
def deactivate_goal(connection: str, goal: str) -> Connection:
    with opened() as context:
        return change_goals.set_activity(context.store, connection, goal, active=False)


@step
def copy_goal(connection: str, goal: str, name: str) -> tuple[Connection, str]:
    """And the id of the copy."""
    with opened() as context:
        return change_goals.copy_goal(context.store, connection, goal, name)
