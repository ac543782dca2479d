"""The imports of a domain: numbered densely, one at a time, each known well enough that anybody can finish it (DESIGN §2).

A registration is written once and never changed; what becomes of it stands in the `state` beside it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

from headrace.errors import TransientError
from profile_store import keys
from profile_store.durability import read_durable, write_lost
from profile_store.ledger import LedgerEntry, field_of
from profile_store.registration import Registration
from profile_store.store import Store, text, translated

LEASE_SECONDS = 15
COMPLETE, FAILED, FAILING = "COMPLETE", "FAILED", "FAILING"
"""Of results. FAILING: refused from here on; what it had applied is still to be counted."""


def fresh_owner() -> str:
    return secrets.token_hex(8)


class SchemaMovedError(TransientError):
    """The domain's schema changed between planning and registering: plan again."""

    code = "SCHEMA_MOVED"


def register(
    store: Store, registration: Registration, identity: str, behind: int | None = None, judged: int | None = None
) -> tuple[int, bool]:
    """The import's number, and whether it is new. Durable before it returns. `behind`: the last number that may have been given by then; None: any.
    `judged`: the file's last import by the ledger when it was found to be wanted, 0 for none; None: nobody judged.

    The same work keeps its number while it is open, and when it is over since it was judged, or complete, and still the file's last import: whoever
    judged before that gets the number of an import that is over. Raises SchemaMovedError, TransientError.
    """
    # Of a replay the store knows each reject that was replayed: its file needs no ledger.
    domain, source = registration.domain, registration.source if registration.replay is None else None
    reply = store.run_script(
        "register",
        [
            keys.sequence(domain),
            keys.open_imports(domain),
            keys.schema(domain),
            keys.ledger(domain, registration.connection, registration.goal),
            keys.domain_nothing(domain),
        ],
        [
            identity,
            registration.as_json(),
            # A change of schema is made on the version before: two at once must not be one in place of the other.
            registration.schema_version - (registration.kind == "schema"),
            keys.registration(domain, 0)[:-1],
            registration.schema,
            "" if source is None else field_of(source.bucket, source.key),
            "" if source is None else source.identity,
            registration.configuration,
            "" if behind is None else behind,
            "" if judged is None else judged,
        ],
    )
    if text(reply[0] if isinstance(reply[0], bytes) else "") == "SCHEMA":
        raise SchemaMovedError(
            f"Domain {domain} moved on while something was planned on it: its schema, or the last import of the file.",
            hint="An import is planned again; repeat `apply`.",
        )
    import_seq, fresh = int(reply[0]), bool(reply[1])
    stored = read_durable(store, keys.mark(domain), lambda node: node.get(keys.registration(domain, import_seq)))
    if stored is None or (fresh and text(stored) != registration.as_json()):
        raise TransientError(f"Redis lost the registration of import {import_seq} of domain {domain}.", code="REGISTRATION_LOST")
    return import_seq, fresh


def pin_owner(identity: str) -> str:
    """A name for the pinned copy of a work's source: the same each time the same work is registered."""
    return hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()


def load(store: Store, domain: str, import_seq: int) -> Registration | None:
    with translated("reading an import's registration"):
        document = store.client.get(keys.registration(domain, import_seq))
    return None if document is None else Registration.from_json(domain, import_seq, text(document))


def load_needed(store: Store, domain: str, import_seq: int) -> Registration:
    """Raises TransientError where it is not there: Redis lost it, or the number was never given."""
    found = load(store, domain, import_seq)
    if found is None:
        raise TransientError(f"Import {import_seq} of domain {domain} is numbered but not there.", code="NO_REGISTRATION")
    return found


def open_registrations(store: Store, domain: str) -> list[Registration]:
    """Of all that is not over, in their order: the first one has its turn. Raises TransientError."""
    return [load_needed(store, domain, number) for number in range(domain_floor(store, domain) + 1, last_number(store, domain) + 1)]


def last_number(store: Store, domain: str) -> int:
    """Of the imports registered so far; 0 for none."""
    with translated("reading the domain's sequence"):
        return int(store.client.get(keys.sequence(domain)) or 0)


def domain_floor(store: Store, domain: str) -> int:
    """The last import of the domain that is over; the next one has its turn."""
    with translated("reading the domain's floor"):
        return int(store.client.get(keys.floor(domain)) or 0)


def take_lease(store: Store, domain: str, import_seq: int, owner: str) -> bool:
    """Whether `owner` drives this import now. A lease saves work, it does not guard the data: two drivers at once are harmless."""
    key = keys.lease(domain, import_seq)
    with translated("taking an import's lease"):
        if store.client.set(key, owner, nx=True, ex=LEASE_SECONDS):
            return True
        if text(store.client.get(key)) != owner:
            return False
        store.client.expire(key, LEASE_SECONDS)
    return True


def is_leased(store: Store, domain: str, import_seq: int) -> bool:
    """Whether anybody drives this import now."""
    with translated("reading an import's lease"):
        return bool(store.client.exists(keys.lease(domain, import_seq)))


def drop_lease(store: Store, domain: str, import_seq: int) -> None:
    with translated("dropping an import's lease"):
        store.client.delete(keys.lease(domain, import_seq))


def domain_marks(domain: str) -> list[str]:
    """Where to wait for what was written under the domain's own tag."""
    return [keys.mark(domain)]


def put_result(store: Store, domain: str, import_seq: int, result: dict[str, Any]) -> dict[str, Any]:
    """Record what became of an import, for the runs of others and for audit: the first word counts. Gives the result that is on record now.

    `result["state"]`: COMPLETE, FAILED, or FAILING, which a FAILED alone replaces. Durable before it returns. Raises TransientError: repeat it.
    """
    key = keys.result(domain, import_seq)
    found = store.run_script("put_result", [key], [json.dumps(result, sort_keys=True), result["state"]])
    if read_durable(store, keys.mark(domain), lambda node: node.get(key)) != found:
        raise write_lost(f"import {import_seq} of domain {domain}")
    return dict(json.loads(text(found)))


def read_result(store: Store, domain: str, import_seq: int) -> dict[str, Any] | None:
    with translated("reading an import's result"):
        found = store.client.get(keys.result(domain, import_seq))
    return None if found is None else dict(json.loads(text(found)))


def end(store: Store, registration: Registration, identity: str, entry: LedgerEntry | None = None) -> None:
    """Note the import's file, if it has one, and give the turn to the next import: the last step, when the result is recorded and what the
    partitions kept is dropped. Durable before it returns; whoever repeats it changes nothing. Raises TransientError."""
    domain, import_seq, source = registration.domain, registration.import_seq, registration.source
    noted = ["", ""] if entry is None or source is None else [field_of(source.bucket, source.key), entry.as_json()]
    store.run_script(
        "end",
        [
            keys.open_imports(domain),
            keys.floor(domain),
            keys.lease(domain, import_seq),
            keys.ledger(domain, registration.connection, registration.goal),
        ],
        [identity, import_seq, *noted],
    )
    floor = read_durable(store, keys.mark(domain), lambda node: node.get(keys.floor(domain)))
    if int(floor or 0) < import_seq:
        raise write_lost(f"import {import_seq} of domain {domain}")
