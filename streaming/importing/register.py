"""A number in the domain's sequence for one file, and everything that finishing it takes (DESIGN §2)."""

from __future__ import annotations

import json
from dataclasses import replace

from tenacity import retry, retry_if_exception_type, stop_after_attempt

from headrace.connections import Connection
from headrace.failpoints import step
from object_store.versions import ObjectVersion
from profile_store import ledger, registry, sequence
from profile_store.registration import Registration
from profile_store.sequence import SchemaMovedError
from streaming.importing.announce import refuse_lost_imports
from streaming.importing.context import ImportContext
from streaming.importing.pinned_copy import pin_source
from streaming.importing.plan import AnyImportGoal, domain_of, plan_of
from streaming.importing.scan import WANTED, identity_of, judge, source_of
from streaming.split import SPLITTER_FORMAT

again_where_the_schema_moves = retry(retry=retry_if_exception_type(SchemaMovedError), stop=stop_after_attempt(5), reraise=True)
"""For a function that plans by the domain's schema as it is, and registers what it planned: it plans again where that has changed meanwhile."""


@again_where_the_schema_moves
def register_import(
    context: ImportContext, connection: Connection, goal: AnyImportGoal, version: ObjectVersion, run_id: str
) -> Registration:
    """Register one file version under the goal's present configuration; the same work, while it is open, keeps its number.

    In a bucket without versions the object is copied first, unless the goal says `pin: never` (SPEC I12). Where another run has imported it since it was
    scanned, or failed at it, that import is given: it is over. Raises TransientError.
    """
    objects = context.objects_of(connection.name)
    name = domain_of(goal)
    refuse_lost_imports(context, name)
    # First the ledger, then the object: it may be another one by the time the ledger has moved on, and what is there now is judged again.
    last = ledger.read_entry(context.store, name, connection.name, goal.id, (version.bucket, version.key))
    current = objects.head(version.bucket, version.key)
    source = source_of(current)
    domain = registry.get_domain(context.store, name)
    configuration = identity_of(connection, goal, domain)
    status, _ = judge(goal, last, source.identity, configuration)
    if last is not None and status not in WANTED:
        return sequence.load_needed(context.store, name, last.import_seq)
    if goal.pin == "auto":
        pinned = pin_source(
            context, name, connection.name, current, work_identity(connection.name, goal.id, source.identity, configuration)
        )
        if pinned.key != current.key:
            source = replace(source, pinned_key=pinned.key, pinned_etag=pinned.etag)
    asked = Registration(
        domain=name,
        import_seq=0,
        kind="import",
        connection=connection.name,
        goal=goal.id,
        run_id=run_id,
        source=source,
        plan=plan_of(goal, domain, connection.objectives),
        configuration=configuration,
        schema_version=domain.schema.version,
        splitter=SPLITTER_FORMAT,
    )
    with step("register"):
        return numbered(context, asked, judged=0 if last is None else last.import_seq)


def numbered(context: ImportContext, asked: Registration, behind: int | None = None, judged: int | None = None) -> Registration:
    """What is on record for this work: as it was asked for, with its number, or as it was registered before. `behind`, `judged`: as `sequence.register` has
    them.

    Raises SchemaMovedError, TransientError.
    """
    import_seq, fresh = sequence.register(context.store, asked, identity_of_registration(asked), behind, judged)
    if fresh:
        return replace(asked, import_seq=import_seq)
    found = sequence.load_needed(context.store, asked.domain, import_seq)
    if found.schema != asked.schema:  # a change of the same version, and another one: ours is made on it
        raise SchemaMovedError(f"The schema of domain {asked.domain} changed while something was planned on it.")
    return found


def work_identity(connection: str, goal: str, file: str, configuration: str) -> str:
    return json.dumps([connection, goal, file, configuration])


def identity_of_registration(registration: Registration) -> str:
    """What `register_import` registered it under."""
    if registration.kind == "schema":
        return schema_work(registration.schema_version)
    if registration.kind == "segments":
        return segments_work(registration.token)
    if registration.upload:
        return upload_work(registration.upload)
    if registration.kind == "expire":
        return json.dumps(["expire", registration.expired_before])
    if registration.kind == "erase":
        return json.dumps(["erase", registration.erased, registration.suppress])
    return work_identity(registration.connection, registration.goal, registration.needed_source.identity, registration.configuration)


def schema_work(version: int) -> str:
    return json.dumps(["schema", version])


def upload_work(job_id: str) -> str:
    return json.dumps(["upload", job_id])


def segments_work(token: str) -> str:
    """Each change is its own work: what it changes it compares with what is there, when it gets its number."""
    return json.dumps(["segments", token])
