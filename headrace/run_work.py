"""What a run is to do: the connection's goals that are asked for, or why there is nothing (SPEC C4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.connection_checks import domain_name
from headrace.connections import Connection
from headrace.goal_choice import EXPORTS, Kinds, does, goals_of
from headrace.goals import ExportProfilesGoal, Goal


@dataclass(frozen=True)
class GoalWork:
    """A goal to work on. `domain`: `retail~household` for groups. `place`: s3:// of the directory that its files are in, or go to."""

    kind: str
    goal: str
    domain: str
    place: str

    @property
    def exports(self) -> bool:
        return self.kind in EXPORTS


@dataclass(frozen=True)
class Work:
    """`idle`: why there is nothing to do; then there are no goals."""

    goals: tuple[GoalWork, ...]
    idle: str = ""


def work_of(connection: Connection, goal: str, kinds: Kinds) -> Work:
    """`goal` empty: every active goal of these kinds, in its listed order. TerminalError where there is no such goal."""
    wanted = goals_of(connection, goal, kinds)
    idle = _idle(connection, wanted, goal, kinds)
    return Work((), idle) if idle else Work(tuple(_work(one) for one in wanted if one.active))


def _idle(connection: Connection, wanted: Sequence[Goal], goal: str, kinds: Kinds) -> str:
    if not connection.enabled:
        return f"Nothing done: connection {connection.name} is off. `headrace connection on {connection.name}` switches it on, or its file."
    if any(one.active for one in wanted):
        return ""
    if goal:
        how = f"`headrace goal activate {connection.name} {goal}` changes that, or its file."
        return f"Nothing done: goal {goal} of connection {connection.name} is not active. {how}"
    return f"Nothing done: connection {connection.name} has no active goal that {does(kinds)}."


def _work(goal: Goal) -> GoalWork:
    place = goal.destination if isinstance(goal, ExportProfilesGoal) else goal.source
    return GoalWork(goal.kind, goal.id, domain_name(goal), f"s3://{place.bucket}/{place.directory}")
