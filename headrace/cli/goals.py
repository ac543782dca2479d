"""Which goals of a connection a command means."""

from __future__ import annotations

from headrace.connections import Connection
from headrace.errors import TerminalError
from headrace.goals import ImportProfilesGoal


def wanted_goals(connection: Connection, goal_id: str) -> list[ImportProfilesGoal]:
    """The goal of that id; all that import profiles, active or not, where it is empty. TerminalError where there is no such goal."""
    goals = [one for one in connection.goals if isinstance(one, ImportProfilesGoal)]
    if not goal_id:
        return goals
    found = [one for one in goals if one.id == goal_id]
    if not found:
        there = ", ".join(one.id for one in goals) or "none"
        raise TerminalError(
            f"Connection {connection.name} has no goal {goal_id} that imports profiles; there are: {there}.",
            code="NO_SUCH_GOAL",
            hint="Choose one of them, or leave the goal out for all.",
        )
    return found


def runnable_goals(connection: Connection, goal_id: str) -> list[ImportProfilesGoal]:
    """The goals that a run may work on. TerminalError where a run would do nothing: the connection is off, no goal is active (SPEC C4)."""
    wanted = wanted_goals(connection, goal_id)
    if not connection.enabled:
        raise TerminalError(
            f"Connection {connection.name} is off, so nothing was run.",
            code="CONNECTION_OFF",
            hint="Set enabled: true in its file and apply it.",
        )
    active = [one for one in wanted if one.active]
    if not active:
        which = (
            f"Goal {goal_id} of connection {connection.name} is not active"
            if goal_id
            else f"Connection {connection.name} has no active goal that imports profiles"
        )
        raise TerminalError(
            f"{which}, so nothing was run.", code="NO_ACTIVE_GOAL", hint="Set active: true in the connection's file and apply it."
        )
    return active
