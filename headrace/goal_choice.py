"""Which goals of a connection a run means: those of the kinds that it works on; imports in their listed order, then exports in theirs. SPEC C4, I13."""

from __future__ import annotations

from headrace.connections import Connection
from headrace.errors import TerminalError
from headrace.goals import ExportProfilesGoal, Goal, ImportGroupsGoal, ImportProfilesGoal

Kinds = tuple[str, ...]
"""Kinds of goals, as files write them."""

PROFILES: Kinds = ("import_profiles",)
GROUPS: Kinds = ("import_groups",)
IMPORTS: Kinds = PROFILES + GROUPS
EXPORTS: Kinds = ("export_profiles",)
EVERYTHING: Kinds = IMPORTS + EXPORTS

_DOES: dict[Kinds, tuple[str, str]] = {
    PROFILES: ("imports profiles", "imports no profiles"),
    GROUPS: ("imports groups", "imports no groups"),
    IMPORTS: ("imports", "imports nothing"),
    EXPORTS: ("exports", "exports nothing"),
    EVERYTHING: ("imports or exports", "does nothing"),
}


def does(kinds: Kinds) -> str:
    """What a goal of these kinds does, in words: `imports profiles`."""
    return _DOES[kinds][0]


def goals_of(connection: Connection, goal_id: str = "", kinds: Kinds = EVERYTHING) -> tuple[Goal, ...]:
    """The goal of that id; all of these kinds where it is empty. Active or not. Raises TerminalError where there is no such goal.

    Exports come last: what a run imports is in what it exports.
    """
    goals = tuple(sorted((one for one in connection.goals if one.kind in kinds), key=lambda one: one.kind in EXPORTS))
    chosen = tuple(one for one in goals if one.id == goal_id) if goal_id else goals
    if goal_id and not chosen:
        other = connection.goal(goal_id)
        what = f"no goal {goal_id}" if other is None else f"a goal {goal_id} of kind {other.kind}, which {_DOES[kinds][1]}"
        there = ", ".join(one.id for one in goals) or "none"
        raise TerminalError(
            f"Connection {connection.name} has {what}; its goals that do: {there}.",
            code="NO_SUCH_GOAL",
            hint="Choose one of them, or none for all.",
        )
    return chosen


def chosen_goals(connection: Connection, goal_id: str = "", kinds: Kinds = IMPORTS) -> tuple[ImportProfilesGoal | ImportGroupsGoal, ...]:
    """`goals_of`, of kinds that import."""
    return tuple(one for one in goals_of(connection, goal_id, kinds) if isinstance(one, ImportProfilesGoal | ImportGroupsGoal))


def chosen_exports(connection: Connection, goal_id: str = "") -> tuple[ExportProfilesGoal, ...]:
    """`goals_of`, of those that export."""
    return tuple(one for one in goals_of(connection, goal_id, EXPORTS) if isinstance(one, ExportProfilesGoal))
