"""A change of a domain's schema takes a number in the sequence, so that it finds no import in flight (DESIGN §1, idea 2)."""

from __future__ import annotations

from headrace.failpoints import step
from headrace.schema import encode_schema
from profile_store import counts, registry, sequence
from profile_store.registration import Registration
from profile_store.registry import StoredDomain
from streaming.importing.announce import announce, refuse_lost_imports
from streaming.importing.context import ImportContext
from streaming.importing.register import identity_of_registration, numbered
from streaming.topics import make_topics


def register_schema_change(context: ImportContext, changed: StoredDomain, behind: int | None = None) -> Registration:
    """`changed`: the domain with the schema it is to have. `behind`: the last number that may have been given before; None: any.

    Raises SchemaMovedError: another has been given meanwhile.
    """
    refuse_lost_imports(context, changed.name)
    version, schema = changed.schema.version, encode_schema(changed.schema)
    with step("register_schema"):
        return numbered(
            context, Registration(changed.name, 0, "schema", "", "", "", None, None, schema_version=version, schema=schema), behind
        )


def drive_schema_change(context: ImportContext, registration: Registration) -> None:
    """Its turn has come: every partition takes the new version. Repeatable."""
    store, domain = context.store, registry.get_domain(context.store, registration.domain)
    make_topics(context.kafka, domain.name, domain.partitions)
    announce(context, registration)
    counts.raise_floors(store, domain.name, domain.partitions, registration.import_seq, str(registration.schema_version))
    with step("end_schema"):
        sequence.end(store, registration, identity_of_registration(registration))
