"""A change of a domain's schema takes a number in the sequence, so that it finds no import in flight (DESIGN §1, idea 2)."""

from __future__ import annotations

from headrace.schema import encode_schema
from profile_store import registry, sequence
from profile_store.registry import StoredDomain
from profile_store.sequence import Registration
from profile_store.store import Store
from streaming.importing.register import identity_of_registration, schema_work


def register_schema_change(store: Store, changed: StoredDomain) -> Registration:
    """`changed`: the domain with the schema it is to have."""
    version = changed.schema.version
    registration = Registration(changed.name, 0, "schema", "", "", "", None, None, schema_version=version)
    import_seq, _ = sequence.register(store, registration, schema_work(version), encode_schema(changed.schema))
    return Registration(changed.name, import_seq, "schema", "", "", "", None, None, schema_version=version)


def drive_schema_change(store: Store, registration: Registration) -> None:
    """Its turn has come: every partition takes the new version. Repeatable."""
    domain = registry.get_domain(store, registration.domain)
    sequence.raise_floors(store, domain.name, domain.partitions, registration.import_seq, str(registration.schema_version))
    sequence.end(store, registration, identity_of_registration(registration))
