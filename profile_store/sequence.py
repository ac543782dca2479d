"""The imports of a domain: numbered densely, one at a time, each known well enough that anybody can finish it (DESIGN §2).

A registration is written once and never changed; what becomes of it stands in the `state` beside it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Any, Literal

from headrace.errors import TransientError, UnsupportedFormatError
from headrace.import_plan import PLAN_FORMAT, ImportPlan
from headrace.outcomes import Outcomes
from profile_store import keys
from profile_store.durability import barrier, partition_marks, read_durable
from profile_store.ledger import field_of
from profile_store.store import Store, text, translated

REGISTRATION_FORMAT = 1
LEASE_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Source:
    """The object version that an import reads, and the pinned copy if one was made. `last_modified`: ISO 8601, UTC."""

    bucket: str
    key: str
    version_id: str | None
    etag: str
    size: int
    last_modified: str
    pinned_key: str | None = None
    pinned_etag: str | None = None

    @property
    def identity(self) -> str:
        """The file's identity (SPEC I10)."""
        return json.dumps([self.bucket, self.key, self.version_id, self.etag, self.size])


@dataclass(frozen=True, slots=True)
class Registration:
    """One number of the sequence. `kind`: `import`, or `schema` for a change of the domain's schema (then `source` and `plan` are None)."""

    domain: str
    import_seq: int
    kind: Literal["import", "schema"]
    connection: str
    goal: str
    run_id: str
    source: Source | None
    plan: ImportPlan | None
    configuration: str = ""
    schema_version: int = 0
    splitter: int = 0

    @property
    def needed_plan(self) -> ImportPlan:
        if self.plan is None:
            raise ValueError(f"import {self.import_seq} of {self.domain} is a change of schema and reads no rows")
        return self.plan

    @property
    def needed_source(self) -> Source:
        if self.source is None:
            raise ValueError(f"import {self.import_seq} of {self.domain} is a change of schema and has no file")
        return self.source

    def as_json(self) -> str:
        return json.dumps(
            {
                "format": REGISTRATION_FORMAT,
                "kind": self.kind,
                "connection": self.connection,
                "goal": self.goal,
                "run_id": self.run_id,
                "configuration": self.configuration,
                "schema_version": self.schema_version,
                "splitter": self.splitter,
                "source": None if self.source is None else {name: getattr(self.source, name) for name in Source.__slots__},
                "plan": None if self.plan is None else self.plan.model_dump(mode="json"),
            },
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, domain: str, import_seq: int, document: str) -> Registration:
        data = json.loads(document)
        _refuse_newer("a registration", data["format"], REGISTRATION_FORMAT, f"import {import_seq} of domain {domain}")
        if data["plan"] is not None:
            _refuse_newer("a plan", data["plan"]["format"], PLAN_FORMAT, f"import {import_seq} of domain {domain}")
        return cls(
            domain,
            import_seq,
            data["kind"],
            data["connection"],
            data["goal"],
            data["run_id"],
            None if data["source"] is None else Source(**data["source"]),
            None if data["plan"] is None else ImportPlan.model_validate(data["plan"]),
            data["configuration"],
            data["schema_version"],
            data["splitter"],
        )


def _refuse_newer(what: str, number: int, known: int, where: str) -> None:
    if number > known:
        raise UnsupportedFormatError(
            f"{where} has {what} of format {number}; this release reads {known}.",
            hint="A newer Headrace registered it. Upgrade this process.",
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """Where an import stands: outcomes counted so far, and the last batch applied in each partition (-1: none)."""

    outcomes: Outcomes
    fences: tuple[int, ...]


class SchemaMovedError(TransientError):
    """The domain's schema changed between planning and registering: plan again."""

    code = "SCHEMA_MOVED"


def register(store: Store, registration: Registration, identity: str, new_schema: str = "") -> tuple[int, bool]:
    """The import's number, and whether it is new. Durable before it returns.

    The same work keeps its number while it is open, and when it is complete and still the file's last import: whoever scanned before that
    gets the number of an import that is over. Raises SchemaMovedError, TransientError.
    """
    domain, source = registration.domain, registration.source
    reply = store.run_script(
        "register",
        [
            keys.sequence(domain),
            keys.open_imports(domain),
            keys.schema(domain),
            keys.ledger(domain, registration.connection, registration.goal),
        ],
        [
            identity,
            registration.as_json(),
            "" if new_schema else registration.schema_version,
            keys.registration(domain, 0)[:-1],
            new_schema,
            "" if source is None else field_of(source.bucket, source.key),
            "" if source is None else source.identity,
            registration.configuration,
        ],
    )
    if text(reply[0] if isinstance(reply[0], bytes) else "") == "SCHEMA":
        raise SchemaMovedError(f"The schema of domain {domain} changed while an import was planned.", hint="It is planned again.")
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


def drop_lease(store: Store, domain: str, import_seq: int) -> None:
    with translated("dropping an import's lease"):
        store.client.delete(keys.lease(domain, import_seq))


def fresh_owner() -> str:
    return secrets.token_hex(8)


def progress(store: Store, domain: str, partitions: int, import_seq: int) -> Progress:
    """What has been counted. Not durable by itself: call `barrier` afterwards before believing it."""
    outcomes, fences = Outcomes(), []
    for partition in range(partitions):
        tally_key = keys.tally(domain, partition, import_seq)
        with store.on_node_of(tally_key, "reading counts") as node:
            pipe = node.pipeline(transaction=True)
            pipe.hgetall(tally_key)
            pipe.hget(keys.fence(domain, partition), f"import:{import_seq}")
            counts, fence = pipe.execute()
        outcomes += Outcomes(**{text(name): int(value) for name, value in counts.items()})
        fences.append(-1 if fence is None else int(fence))
    return Progress(outcomes, tuple(fences))


def raise_floors(store: Store, domain: str, partitions: int, import_seq: int, schema_version: str = "") -> None:
    """Refuse this import's messages from here on, in every partition; durable before it returns."""
    for partition in range(partitions):
        store.run_script("raise_floor", [keys.meta(domain, partition)], [import_seq, schema_version])
    barrier(store, partition_marks(domain, range(partitions)))


def drop_import(store: Store, domain: str, partitions: int, import_seq: int) -> None:
    for partition in range(partitions):
        store.run_script(
            "drop_import",
            [
                keys.meta(domain, partition),
                keys.fence(domain, partition),
                keys.tally(domain, partition, import_seq),
                keys.rejects(domain, partition, import_seq),
            ],
            [import_seq],
        )


def domain_marks(domain: str) -> list[str]:
    """Where to wait for what was written under the domain's own tag."""
    return [keys.mark(domain)]


def put_result(store: Store, domain: str, import_seq: int, result: dict[str, Any]) -> dict[str, Any]:
    """Record what became of an import, for the runs of others and for audit: the first word counts. Gives the result that is on record now.

    `result["state"]`: COMPLETE, FAILED, or FAILING, which a FAILED alone replaces.
    """
    found = store.run_script("put_result", [keys.result(domain, import_seq)], [json.dumps(result, sort_keys=True), result["state"]])
    return dict(json.loads(text(found)))


def read_result(store: Store, domain: str, import_seq: int) -> dict[str, Any] | None:
    with translated("reading an import's result"):
        found = store.client.get(keys.result(domain, import_seq))
    return None if found is None else dict(json.loads(text(found)))


def end(store: Store, registration: Registration, identity: str) -> None:
    """Give the turn to the next import: the last step, when results are recorded and what the partitions kept is dropped. Repeatable."""
    domain, import_seq = registration.domain, registration.import_seq
    store.run_script("end", [keys.open_imports(domain), keys.floor(domain), keys.lease(domain, import_seq)], [identity, import_seq])
    barrier(store, domain_marks(domain))


def read_rejects(store: Store, domain: str, partition: int, import_seq: int) -> list[bytes]:
    """The reject payloads of one partition, in commit order."""
    key = keys.rejects(domain, partition, import_seq)
    with store.on_node_of(key, "reading rejects") as node:
        found: Any = node.lrange(key, 0, -1)
    return list(found)
