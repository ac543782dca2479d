"""The export of segments into files, as a Prefect flow (SPEC E)."""

from __future__ import annotations

from prefect import State, flow

from flows.run_goals import run_goals
from headrace.goal_choice import EXPORTS


@flow(name="export-profiles", persist_result=False)
def export_profiles(connection: str, goal: str = "") -> State[None]:
    """Writes the profiles of segments into CSV files, as a connection's goals say.

    Args:
        connection: Name of the connection, as in its file connections/NAME.yaml.
        goal: Id of one goal that exports. Left empty: every active one of the connection, in their listed order.
    """
    return run_goals(connection, goal, EXPORTS)
