"""Write the file of an export goal."""

from __future__ import annotations

from headrace.goal_choice import chosen_exports
from profile_store import registry
from streaming.exporting import write_export as writing
from streaming.exporting.write_export import WrittenExport
from streaming.importing.context import Report
from tasks.opened import opened
from tasks.step import step


@step
def write_export(connection: str, goal: str, report: Report) -> WrittenExport:
    """Its profiles count as exported once it is closed."""
    with opened(report) as context:
        found = registry.get_connection(context.store, connection)
        [chosen] = chosen_exports(found, goal)
        return writing.write_export(context, found, chosen)
