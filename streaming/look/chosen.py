"""Which goal, and which of its files, somebody wants to look at."""

from __future__ import annotations

from headrace.connections import Connection
from headrace.errors import TerminalError
from headrace.file_selection import FileSelection, select_files
from headrace.goal_choice import chosen_goals
from object_store.versions import ObjectVersion
from streaming.importing.context import ImportContext
from streaming.importing.plan import AnyImportGoal


def chosen_goal(connection: Connection, goal_id: str) -> AnyImportGoal:
    """The import goal of that id, active or not; where `goal_id` is empty, the only one there is. Raises TerminalError."""
    goals = chosen_goals(connection, goal_id)
    if len(goals) == 1:
        return goals[0]
    there = ", ".join(one.id for one in goals)
    if not there:
        raise TerminalError(
            f"Connection {connection.name} has no goal that imports.", code="NO_SUCH_GOAL", hint="Add one to its file and apply it."
        )
    raise TerminalError(
        f"Connection {connection.name} has several goals that import: {there}.", code="WHICH_GOAL", hint="Name one of them."
    )


def selection_of(goal: AnyImportGoal) -> FileSelection:
    source = goal.source
    return select_files(directory=source.directory, files=source.files, regex=source.regex)


def chosen_file(context: ImportContext, connection: Connection, goal: AnyImportGoal, key: str) -> ObjectVersion:
    """The present version of the object at `key`, whether the goal means it or not; where `key` is empty, the newest file that it means.

    A key may also be given as `s3://bucket/key`, or below the goal's directory. Raises TerminalError NO_FILE, WRONG_BUCKET, NO_SUCH_OBJECT….
    """
    objects, bucket = context.objects_of(connection.name), goal.source.bucket
    if not key:
        matching = objects.list_selected(bucket, selection_of(goal))
        if not matching:
            raise TerminalError(
                f"No file matches goal {goal.id} of connection {connection.name}: "
                f"s3://{bucket}/{goal.source.directory}{goal.source.files or goal.source.regex or ''}",
                code="NO_FILE",
                hint="Put a file there, or name one that lies elsewhere in the bucket.",
            )
        return objects.head(bucket, matching[-1].key)
    key = _key_in(bucket, key)
    try:
        return objects.head(bucket, key)
    except TerminalError as error:
        below = goal.source.directory + key
        if error.code != "NO_SUCH_OBJECT" or below == key:
            raise
        try:
            return objects.head(bucket, below)
        except TerminalError:
            raise error from None


def _key_in(bucket: str, written: str) -> str:
    if not written.startswith("s3://"):
        return written
    named, _, key = written.removeprefix("s3://").partition("/")
    if named != bucket:
        raise TerminalError(f"The goal reads bucket {bucket}, not {named}.", code="WRONG_BUCKET", hint="Name a file of that bucket.")
    return key
