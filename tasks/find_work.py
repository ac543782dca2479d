"""What a run is to do, as the connection is stored now."""

from __future__ import annotations

from headrace.goal_choice import Kinds
from headrace.run_work import Work, work_of
from profile_store import registry
from tasks.opened import opened
from tasks.step import step


@step
def find_work(connection: str, goal: str, kinds: Kinds) -> Work:
    """TerminalError where connection or goal does not exist."""
    with opened() as context:
        found = registry.get_connection(context.store, connection)
    return work_of(found, goal, kinds)
