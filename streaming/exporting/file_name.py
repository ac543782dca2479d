"""What the file of an export is called (SPEC E4): its custom name, or the segment's with the time, which no other run's file has."""

from __future__ import annotations

from datetime import datetime

from headrace.goals import ExportProfilesGoal

MARK = 8
"""Of the export's id, how many characters stand in the name. A file is seen only when it is whole: two of one second could not see each other."""


def file_name(goal: ExportProfilesGoal, export_id: str, now: datetime) -> str:
    """`export_id`: hex characters, drawn for this export alone. `now`: UTC."""
    custom = goal.destination.file_name
    if custom is not None:
        return custom
    extension = ".csv.gz" if goal.format.compression == "gzip" else ".csv"
    return f"{goal.segment}-{now:%Y%m%dT%H%M%SZ}-{export_id[:MARK]}{extension}"
