"""What the file of an export is called (SPEC E4): its custom name, or the segment's with the time, which no other run's file has."""

from __future__ import annotations

from datetime import datetime, timedelta

from headrace.errors import TerminalError
from headrace.goals import ExportProfilesGoal
from object_store.store import ObjectStore


def file_name(objects: ObjectStore, goal: ExportProfilesGoal, now: datetime) -> str:
    """`now`: UTC. Raises what looking at the bucket raises."""
    custom = goal.destination.file_name
    if custom is not None:
        return custom
    extension = ".csv.gz" if goal.format.compression == "gzip" else ".csv"
    while True:
        name = f"{goal.segment}-{now:%Y%m%dT%H%M%SZ}{extension}"
        if not _is_there(objects, goal, name):
            return name
        now += timedelta(seconds=1)  # two goals of one segment, in one second


def _is_there(objects: ObjectStore, goal: ExportProfilesGoal, name: str) -> bool:
    try:
        objects.head(goal.destination.bucket, goal.destination.directory + name)
    except TerminalError as error:
        # Who may write and not read is told of nothing: another file of the same second is as good as impossible then.
        if error.code in ("NO_SUCH_OBJECT", "ACCESS_DENIED"):
            return False
        raise
    return True
