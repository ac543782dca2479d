"""Changes of one goal of a connection, or of its switch: each gives the connection as it is then. SPEC C3, C4.

Ids are permanent: a rename keeps ledger and history, a copy has an id of its own and starts with none. Other goals stay as they are.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from headrace.connections import Connection
from headrace.errors import TerminalError
from headrace.goals import Goal
from headrace.names import slug


def switched(connection: Connection, *, enabled: bool) -> Connection:
    return connection.model_copy(update={"enabled": enabled})


def with_activity(connection: Connection, goal_id: str, *, active: bool) -> Connection:
    goal = existing_goal(connection, goal_id)
    return _with_goals(connection, [one.model_copy(update={"active": active}) if one is goal else one for one in connection.goals])


def with_name(connection: Connection, goal_id: str, name: str) -> Connection:
    """Raises TerminalError INVALID_NAME."""
    goal = existing_goal(connection, goal_id)
    return _with_goals(connection, [_changed(one, {"name": name}) if one is goal else one for one in connection.goals])


def with_copy(connection: Connection, goal_id: str, name: str) -> tuple[Connection, Goal]:
    """The copy stands behind its original and is not active: what it imports is imported twice until it is changed. Its id is made of its name."""
    goal = existing_goal(connection, goal_id)
    made = slug(name)
    there = connection.goal(made)
    if there is not None:
        raise TerminalError(
            f"Connection {connection.name} has a goal {made} already: {there.name}.", code="GOAL_EXISTS", hint="Choose another name."
        )
    copy = _changed(goal, {"id": made, "name": name, "active": False})
    place = connection.goals.index(goal) + 1
    return _with_goals(connection, [*connection.goals[:place], copy, *connection.goals[place:]]), copy


def without_goal(connection: Connection, goal_id: str) -> tuple[Connection, Goal]:
    """And the goal that went."""
    goal = existing_goal(connection, goal_id)
    return _with_goals(connection, [one for one in connection.goals if one is not goal]), goal


def existing_goal(connection: Connection, goal_id: str) -> Goal:
    """Raises TerminalError NO_SUCH_GOAL."""
    goal = connection.goal(goal_id)
    if goal is None:
        there = ", ".join(one.id for one in connection.goals) or "none"
        raise TerminalError(
            f"Connection {connection.name} has no goal {goal_id}; its goals: {there}.", code="NO_SUCH_GOAL", hint="Choose one of them."
        )
    return goal


def _with_goals(connection: Connection, goals: list[Goal]) -> Connection:
    return connection.model_copy(update={"goals": tuple(goals)})


def _changed(goal: Goal, fields: dict[str, Any]) -> Goal:
    try:
        return type(goal).model_validate(goal.model_dump(mode="json") | fields)
    except ValidationError:
        raise TerminalError(
            "This name can't be a goal's.",
            code="INVALID_NAME",
            hint="Use 1 to 255 printable characters on one line, a letter or digit among them.",
        ) from None
