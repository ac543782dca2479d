"""The whole import of a file by the real rules, which changes nothing, as an artifact (SPEC B3)."""

from __future__ import annotations

from prefect import State, flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed, Failed

from headrace.errors import HeadraceError
from headrace.masking import Values
from tasks import look
from tasks.dry_run_report import dry_run_headline, dry_run_markdown
from tasks.progress_bar import FilePart, ProgressBar, artifact_key


@flow(name="dry-run", persist_result=False)
def dry_run(connection: str, goal: str = "", file: str = "", *, show_values: bool = False) -> State[None]:
    """Plays the whole import of a file over the real profiles: every count, why rows are rejected, some profiles before and after. Changes nothing.

    Args:
        connection: Name of the connection, as in its file connections/NAME.yaml.
        goal: Id of the goal that imports. May be left empty where the connection has but one.
        file: Key of a file. Left empty: the newest one that matches.
        show_values: Values as they are, in place of their shapes. This stores personal data in Prefect's database, where no erasure reaches it.
    """
    bar = ProgressBar.create(connection)
    try:
        made = look.dry_run(connection, goal, file, bar.of_file(FilePart("dry run", "", 0.0, 100.0, 0)))
    except HeadraceError as error:
        return Failed(message=str(error))
    said = dry_run_headline(made)
    bar.draw_now(100.0, said)
    text = dry_run_markdown(made, Values.SHOWN if show_values else Values.MASKED)
    create_markdown_artifact(text, key=artifact_key(connection, "dry-run"), description=said)
    return Completed(message=said)
