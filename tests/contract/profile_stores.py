"""What the contract tests of the profile store share: a store on a target, and everything that lies in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from headrace.domains import Domain
from headrace.import_plan import ImportPlan, PlannedLink, PlannedMapping
from headrace.outcomes import Outcomes
from headrace.schema import initial_schema
from headrace.settings import RedisSettings
from profile_store import keys
from profile_store.partitions import Commit, make_partitions
from profile_store.registry import create_domain
from profile_store.sequence import Registration, Source
from profile_store.store import Store

DOMAIN = "retail"
PARTITIONS = 4
SCHEMA = 1


def store_at(url: str, *, cluster: bool = False, **more: Any) -> Store:
    return Store(RedisSettings(url=SecretStr(url), cluster=cluster, **more))


def with_partitions(store: Store) -> Store:
    make_partitions(store, DOMAIN, PARTITIONS, SCHEMA)
    return store


def dump(store: Store) -> dict[bytes, Any]:
    """Every key of every node, with its content: what a command that was refused must leave as it was."""
    found: dict[bytes, Any] = {}
    for node in store.nodes():
        client: Any = node
        readers = {
            b"string": client.get,
            b"hash": client.hgetall,
            b"list": lambda key, client=client: client.lrange(key, 0, -1),
            b"set": client.smembers,
            b"zset": lambda key, client=client: client.zrange(key, 0, -1, withscores=True),
        }
        for key in client.scan_iter(count=1000):
            found[key] = readers[client.type(key)](key)
    return found


def address(number: int) -> bytes:
    return number.to_bytes(16, "big")


def new_profiles(batch_no: int, numbers: range, import_seq: int = 1, rejects: bytes = b"") -> Commit:
    """The commit of a batch that makes profiles with these numbers in partition 0, and rejects one row."""
    records: list[bytes] = []
    for number in numbers:
        records += [keys.address_prefix(DOMAIN, 0) + address(number), f"R1\x1f{number}\x1f\x1f\x1f\x1fv{batch_no}".encode()]
    outcomes = Outcomes(created=len(numbers), rejected=1, cells=2)
    return Commit(import_seq, batch_no, SCHEMA, records, b"".join(map(address, numbers)), outcomes, rejects)


def log_of_commands(directory: Path) -> Path:
    """The append-only file that a server writes now."""
    return max(directory.glob("appendonlydir/*.incr.aof"), key=lambda path: int(path.name.split(".")[-3]))


PLAN = ImportPlan(
    domain=DOMAIN,
    partitions=PARTITIONS,
    address_key="07" * 32,
    schema_version=SCHEMA,
    width=2,
    link=PlannedLink(column="id", property="customer_id"),
    mappings=(PlannedMapping(column="id", property="customer_id", property_id=0, identifier=True, rule="set_if_empty"),),
    allow_creation=True,
)


def registration_of(key: str = "in/a.csv", etag: str = "e1", run_id: str = "run-1", configuration: str = "c1") -> Registration:
    """An import of one file that is still to be numbered."""
    source = Source("crm", key, None, etag, 10, "2026-01-02T03:04:05+00:00")
    return Registration(DOMAIN, 0, "import", "crm", "customers", run_id, source, PLAN, configuration, SCHEMA, 1)


def work_of(registration: Registration) -> str:
    """What the work is called while it is open."""
    return json.dumps([registration.connection, registration.goal, registration.needed_source.identity, registration.configuration])


def with_domain(store: Store) -> Store:
    """The domain, with a schema of version 1."""
    definition = Domain.model_validate(
        {
            "version": 1,
            "kind": "domain",
            "name": DOMAIN,
            "partitions": PARTITIONS,
            "properties": [{"name": "customer_id", "identifier": True}],
        }
    )
    create_domain(store, definition, initial_schema(definition), "")
    return store
