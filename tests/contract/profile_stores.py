"""What the contract tests of the profile store share: a store on a target, and everything that lies in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from headrace.domains import Domain
from headrace.import_plan import ImportPlan, PlannedLink, PlannedMapping
from headrace.schema import initial_schema
from headrace.settings import RedisSettings
from profile_store.partitions import Commit, PartitionState, make_partitions, take_over
from profile_store.registration import Registration, Source
from profile_store.registry import create_domain
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
    records = b"".join(b"R1\x1f%d\x1f\x1f\x1f\x1fv%d\n" % (number, batch_no) for number in numbers)
    identifiers = b"".join(map(address, numbers))
    counts = {"created": len(numbers), "rejected": 1, "cells": 2}
    return Commit(import_seq, batch_no, SCHEMA, counts, addresses=identifiers, records=records, created=identifiers, rejects=rejects)


def owned(store: Store, partition: int = 0, domain: str = DOMAIN) -> PartitionState:
    """A partition taken over, its outbox left aside."""
    state, _ = take_over(store, domain, partition)
    return state


def log_of_commands(directory: Path) -> Path:
    """The append-only file that a server writes now."""
    return max(directory.glob("appendonlydir/*.incr.aof"), key=lambda path: int(path.name.split(".")[-3]))


PLAN = ImportPlan(
    domain=DOMAIN,
    partitions=PARTITIONS,
    address_key="07" * 32,
    schema_version=SCHEMA,
    width=2,
    links=(PlannedLink(column="id", property="customer_id"),),
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
