"""The goals that a run may work on."""

from __future__ import annotations

from headrace.connections import Connection
from headrace.errors import TerminalError
from headrace.goal_choice import goals_of
from headrace.goals import Goal


def runnable_goals(connection: Connection, goal_id: str) -> list[Goal]:
    """TerminalError where there is no such goal, and where a run would do nothing: the connection is off, no goal is active (SPEC C4)."""
    wanted = goals_of(connection, goal_id)
    if not connection.enabled:
        raise TerminalError(
            f"Connection {connection.name} is off, so nothing was run.",
            code="CONNECTION_OFF",
            hint=f"`headrace connection on {connection.name}` switches it on, or enabled: true in its file.",
        )
    active = [one for one in wanted if one.active]
    if not active:
        which = (
            f"Goal {goal_id} of connection {connection.name} is not active"
            if goal_id
            else f"Connection {connection.name} has no active goal"
        )
        how = f"`headrace goal activate {connection.name} GOAL` changes that, or active: true in the connection's file."
        raise TerminalError(f"{which}, so nothing was run.", code="NO_ACTIVE_GOAL", hint=how)
    return active
