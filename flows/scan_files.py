"""Which files match, and what a run would do with each; of exports what lies there, and how many profiles are available (SPEC I4, E2, E3)."""

from __future__ import annotations

from prefect import State, flow
from prefect.artifacts import create_table_artifact
from prefect.states import Completed, Failed

from headrace.errors import HeadraceError
from tasks import look
from tasks.export_look_report import destinations_headline, destinations_table
from tasks.look_report import scan_headline, scan_table
from tasks.progress_bar import artifact_key

ALL_GOALS = "all goals"
"""What a form offers for "no goal in particular"; no id of a goal has blanks."""


@flow(name="scan-files", persist_result=False)
def scan_files(connection: str, goal: str = "") -> State[None]:
    """Lists the files that match, and whether each is new, changed, imported or failed, and why. Of exports: the files that are there. Changes nothing.

    Args:
        connection: Name of the connection, as in its file connections/NAME.yaml.
        goal: Id of one goal. Left empty: every one of the connection.
    """
    try:
        chosen = "" if goal == ALL_GOALS else goal
        scanned, destinations = look.scan_files(connection, chosen), look.scan_destinations(connection, chosen)
    except HeadraceError as error:
        return Failed(message=str(error))
    said = " ".join(filter(None, [scan_headline(scanned) if scanned or not destinations else "", destinations_headline(destinations)]))
    create_table_artifact(
        [*scan_table(scanned), *destinations_table(destinations)], key=artifact_key(connection, "files"), description=said
    )
    return Completed(message=said)
