"""What the contract tests of the profile store share: a store on a target, and everything that lies in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import SecretStr

from headrace.outcomes import Outcomes
from headrace.settings import RedisSettings
from profile_store import keys
from profile_store.partitions import Commit, make_partitions
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
