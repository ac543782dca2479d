"""Mappings for the columns that a goal does not map yet, as an artifact (SPEC M8, M9)."""

from __future__ import annotations

from prefect import State, flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed, Failed

from headrace.errors import HeadraceError
from tasks import look
from tasks.look_report import detected_headline, detected_markdown
from tasks.progress_bar import artifact_key


@flow(name="detect-fields", persist_result=False)
def detect_fields(connection: str, goal: str = "", file: str = "", prefix: str = "", rows: int = 1000) -> State[None]:
    """Proposes a mapping for each column that the goal does not map yet, to paste into its file. Changes nothing.

    Args:
        connection: Name of the connection, as in its file connections/NAME.yaml.
        goal: Id of the goal that imports. May be left empty where the connection has but one.
        file: Key of a file. Left empty: the newest one that matches.
        prefix: Put before the property names. Left empty: the goal's.
        rows: How many rows to guess from.
    """
    try:
        detected = look.detect_fields(connection, goal, file, prefix, rows)
    except HeadraceError as error:
        return Failed(message=str(error))
    said = detected_headline(detected)
    create_markdown_artifact(detected_markdown(detected), key=artifact_key(connection, "detected"), description=said)
    return Completed(message=said)
