"""A run of all that a connection does, as a Prefect flow: what its schedule starts, and "Run now" (SPEC R1, R2)."""

from __future__ import annotations

from prefect import State, flow

from flows.run_goals import run_goals
from headrace.goal_choice import EVERYTHING


@flow(name="run-connection", persist_result=False)
def run_connection(connection: str, goal: str = "") -> State[None]:
    """Runs every active goal of a connection: its files that are new or changed are imported, in the listed order of the goals; then its exports are written.

    Args:
        connection: Name of the connection, as in its file connections/NAME.yaml.
        goal: Id of one goal. Left empty: every active one of the connection, in their listed order.
    """
    return run_goals(connection, goal, EVERYTHING)
