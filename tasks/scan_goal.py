"""Which files of a goal are new or changed, and what the ledger says about the others (SPEC I4, I10)."""

from __future__ import annotations

from profile_store import registry
from streaming.importing import scan
from streaming.importing.scan import ScannedFile
from tasks.opened import import_goal, opened
from tasks.step import step


@step
def scan_goal(connection: str, goal: str) -> list[ScannedFile]:
    """In the order they are imported (SPEC I13). Changes nothing."""
    with opened() as context:
        found = registry.get_connection(context.store, connection)
        return scan.scan_goal(context, found, import_goal(found, goal))
