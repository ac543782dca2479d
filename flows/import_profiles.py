"""The import of a connection's new and changed files into profiles, as a Prefect flow."""

from __future__ import annotations

from prefect import State, flow

from flows.run_goals import run_goals
from headrace.goal_choice import PROFILES


@flow(name="import-profiles", persist_result=False)
def import_profiles(connection: str, goal: str = "") -> State[None]:
    """Imports the files of a connection that are new or changed since their last import.

    Args:
        connection: Name of the connection, as in its file connections/NAME.yaml.
        goal: Id of one goal that imports profiles. Left empty: every active one of the connection, in their listed order.
    """
    return run_goals(connection, goal, PROFILES)
