"""What a run is to do: the connection's goals that are asked for, or why there is nothing (SPEC C4)."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.connections import Connection
from headrace.goals import ImportProfilesGoal
from profile_store import registry
from tasks.opened import import_goal, opened
from tasks.step import step


@dataclass(frozen=True)
class GoalWork:
    """A goal to import. `place`: s3:// of the directory that its files are in."""

    goal: str
    domain: str
    place: str


@dataclass(frozen=True)
class Work:
    """`idle`: why there is nothing to do; then there are no goals."""

    goals: tuple[GoalWork, ...]
    idle: str = ""


@step
def find_work(connection: str, goal: str) -> Work:
    """`goal` empty: every active import goal, in its listed order. TerminalError where connection or goal does not exist."""
    with opened() as context:
        found = registry.get_connection(context.store, connection)
    wanted = [one for one in found.goals if isinstance(one, ImportProfilesGoal)] if not goal else [import_goal(found, goal)]
    idle = _idle(found, wanted, goal)
    return Work((), idle) if idle else Work(tuple(_work(one) for one in wanted if one.active))


def _idle(connection: Connection, wanted: list[ImportProfilesGoal], goal: str) -> str:
    if not connection.enabled:
        return f"Nothing done: connection {connection.name} is off. Set enabled: true in its file and apply it."
    if any(one.active for one in wanted):
        return ""
    if goal:
        return f"Nothing done: goal {goal} of connection {connection.name} is not active. Set active: true in its file and apply it."
    return f"Nothing done: connection {connection.name} has no active goal that imports profiles."


def _work(goal: ImportProfilesGoal) -> GoalWork:
    return GoalWork(goal.id, goal.domain, f"s3://{goal.source.bucket}/{goal.source.directory}")
