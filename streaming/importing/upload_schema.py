"""The properties that an upload job needs, made before its import is registered: among them the identifier that its key becomes (SPEC U3, U4)."""

from __future__ import annotations

import time
from contextlib import suppress

from headrace.errors import TransientError, UnsupportedFormatError
from headrace.failpoints import step
from headrace.segment_set import evolve
from headrace.upload_jobs import UploadDefinition
from headrace.upload_plan import NeededDomain, held_values, needed_domain
from profile_store import registry, sequence
from profile_store.held_values import holds_values
from profile_store.registry import StoredDomain
from profile_store.segment_registry import read_segments
from profile_store.sequence import SchemaMovedError
from streaming.importing.await_turn import LOOK_SECONDS, await_turn, take_up
from streaming.importing.context import ImportContext
from streaming.importing.schema_change import drive_schema_change, register_schema_change

_ATTEMPTS = 10


def make_properties(context: ImportContext, domain: str, upload: UploadDefinition, owner: str) -> StoredDomain:
    """The domain, with all that the job needs. Harmless to repeat.

    Raises ConfigurationError where the job's key can't become an identifier, or one that a segment compares as something else;
    TransientError. Segments that compare the key follow when they are built next (`apply_segments.follow_schema`).
    """
    for _ in range(_ATTEMPTS):
        stored = registry.get_domain(context.store, domain)
        needed = needed_domain(upload, stored.definition, stored.schema, may_redefine=stored.owner == "api")
        if not needed.changes:
            return stored
        with suppress(SchemaMovedError):
            return _changed(context, stored, needed, upload, owner)
    raise TransientError(f"The schema of domain {domain} keeps changing while a job is prepared.", code="SCHEMA_MOVED")


def _changed(context: ImportContext, stored: StoredDomain, needed: NeededDomain, upload: UploadDefinition, owner: str) -> StoredDomain:
    behind = None
    if needed.reshaped:
        evolve(read_segments(context.store, stored.name).defined, (), (), needed.schema)  # segments must be able to compare what it becomes
        # Nothing may be in flight: what it writes would be under the property's old shape, where nobody sees it.
        behind = _await_quiet(context, stored.name, owner)
        if _holds_values(context, stored, needed, behind):
            raise held_values(upload, stored.name)
    changed = StoredDomain(needed.definition, needed.schema, stored.address_key, stored.owner, stored.details)
    _define(context, stored, changed)
    try:
        registration = register_schema_change(context, changed, behind)
    except SchemaMovedError:
        with suppress(SchemaMovedError):  # somebody has built on it
            _define(context, changed, stored)
        raise
    if await_turn(context, registration, owner):
        drive_schema_change(context, registration)
    return changed


def _holds_values(context: ImportContext, stored: StoredDomain, needed: NeededDomain, behind: int) -> bool:
    """Whether any profile has a value of what is to be reshaped. Raises SchemaMovedError: what was found may be of a schema that came since `stored`."""
    try:
        found = any(holds_values(context.store, stored, one) for one in needed.reshaped)
    except UnsupportedFormatError:
        _refuse_moved(context, stored, behind)
        raise
    if found:
        _refuse_moved(context, stored, behind)
    return found


def _refuse_moved(context: ImportContext, stored: StoredDomain, behind: int) -> None:
    now = registry.get_domain(context.store, stored.name)
    if now.schema.version != stored.schema.version or sequence.last_number(context.store, stored.name) != behind:
        raise SchemaMovedError(f"The schema of domain {stored.name} changed while a job was prepared.")


def _define(context: ImportContext, before: StoredDomain, after: StoredDomain) -> None:
    """Before its schema is registered: a schema that is further than the definition would be turned back by the next job.

    Raises SchemaMovedError: another job has changed the definition meanwhile. Its properties are not to be lost.
    """
    if before.definition == after.definition:
        return
    with step("define_properties"):
        if not registry.replace_definition(context.store, before.definition, after):
            raise SchemaMovedError(f"The definition of domain {after.name} changed while a job was prepared.")


def _await_quiet(context: ImportContext, domain: str, owner: str) -> int:
    """Until every import that was registered is over: the last of their numbers."""
    while True:
        last, floor = sequence.last_number(context.store, domain), sequence.domain_floor(context.store, domain)
        if floor >= last:
            return last
        if not take_up(context, domain, floor + 1, owner):
            time.sleep(LOOK_SECONDS)
