"""A number in the domain's sequence for one file. The same file under the same configuration keeps its number while it is open."""

from __future__ import annotations

from object_store.versions import ObjectVersion
from profile_store import registry
from streaming.importing import register
from tasks.opened import ImportNumber, import_goal, opened
from tasks.step import step


@step
def register_import(connection: str, goal: str, version: ObjectVersion, run_id: str) -> ImportNumber:
    with opened() as context:
        found = registry.get_connection(context.store, connection)
        registration = register.register_import(context, found, import_goal(found, goal), version, run_id)
    return ImportNumber(registration.domain, registration.import_seq)
