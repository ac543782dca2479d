"""What a goal would make of the first rows of a file, as an artifact (SPEC I5, I9)."""

from __future__ import annotations

from prefect import State, flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed, Failed

from headrace.errors import HeadraceError
from headrace.masking import Values
from tasks import look
from tasks.export_look_report import dates_headline, dates_markdown
from tasks.look_report import preview_headline, preview_markdown
from tasks.progress_bar import artifact_key


@flow(name="preview-file", persist_result=False)
def preview_file(connection: str, goal: str = "", file: str = "", rows: int = 1000, *, show_values: bool = False) -> State[None]:
    """Shows the columns and first rows of a file, what each mapped cell would become, and how its dates are read. Changes nothing.

    Args:
        connection: Name of the connection, as in its file connections/NAME.yaml.
        goal: Id of the goal. May be left empty where the connection has but one that imports.
        file: Key of a file. Left empty: the newest one that matches, or that lies where the goal exports to.
        rows: How many rows to look at.
        show_values: Values as they are, in place of their shapes. This stores personal data in Prefect's database, where no erasure reaches it.
    """
    values = Values.SHOWN if show_values else Values.MASKED
    try:
        dates = look.file_dates(connection, goal, file, rows)
        if dates is not None:
            said = dates_headline(dates)
            create_markdown_artifact(dates_markdown(dates, values), key=artifact_key(connection, "preview"), description=said)
            return Completed(message=said)
        preview = look.preview_file(connection, goal, file, rows)
    except HeadraceError as error:
        return Failed(message=str(error))
    said = preview_headline(preview)
    text = preview_markdown(preview, values)
    create_markdown_artifact(text, key=artifact_key(connection, "preview"), description=said)
    return Failed(message=said) if preview.problems else Completed(message=said)
