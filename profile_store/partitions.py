"""One partition of a domain as its worker sees it: take it over, read its profiles, commit to it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from headrace.errors import TransientError
from headrace.outcomes import Outcomes
from profile_store import keys
from profile_store.durability import read_durable
from profile_store.store import Store, text


@dataclass(frozen=True, slots=True)
class PartitionState:
    """What the owner of a partition knows of it. `fences`: import_seq → last batch applied. `token` is compared, never ordered."""

    domain: str
    partition: int
    token: str
    floor: int
    profiles: int
    schema_version: int
    fences: dict[int, int]

    def fence_of(self, import_seq: int) -> int:
        return self.fences.get(import_seq, -1)


class CommitStatus(StrEnum):
    OK = "OK"
    TOKEN = "TOKEN"  # noqa: S105 - the name of a status
    SCHEMA = "SCHEMA"
    FLOOR = "FLOOR"
    GAP = "GAP"
    APPLIED = "APPLIED"


@dataclass(frozen=True, slots=True)
class Commit:
    """What one row batch changes in one partition.

    `records`: address key, record, address key, record …; `created`: the packed 16-byte profile identifiers of new profiles, in the order
    of their numbers.
    """

    import_seq: int
    batch_no: int
    schema_version: int
    records: list[bytes]
    created: bytes
    outcomes: Outcomes
    rejects: bytes = b""


def fresh_token() -> str:
    """Random, so that it can't come round again after a rollback, as a counter would (DESIGN §2)."""
    return secrets.token_hex(8)


def make_partitions(store: Store, domain: str, partitions: int, schema_version: int) -> None:
    """The `meta` of each partition of a new domain; what is there stays."""
    for partition in range(partitions):
        key = keys.meta(domain, partition)
        with store.on_node_of(key, "making partitions") as node:
            pipe = node.pipeline(transaction=False)
            for name, value in (("floor", 0), ("profiles", 0), ("schema", schema_version), ("token", fresh_token())):
                pipe.hsetnx(key, name, value)
            pipe.execute()


def take_over(store: Store, domain: str, partition: int) -> PartitionState:
    """Become the partition's owner: a fresh token shuts out whoever held it before. Not durable yet: see `durability.barrier`.

    Raises TransientError where the partition is not there (a Redis that was wiped, or not restored yet).
    """
    token = fresh_token()
    reply = store.run_script("take_over", [keys.meta(domain, partition), keys.fence(domain, partition)], [token])
    if not reply:
        raise TransientError(
            f"Partition {partition} of domain {domain} is not in Redis.",
            code="NO_PARTITION",
            hint="Was Redis wiped? Restore it, or apply the domain again.",
        )
    floor, profiles, schema, flat = reply
    fences = {
        int(text(name).split(":")[1]): int(batch)
        for name, batch in zip(flat[::2], flat[1::2], strict=True)
        if text(name).startswith("import:")
    }
    return PartitionState(domain, partition, token, int(floor), int(profiles), int(schema), fences)


def read_floor(store: Store, domain: str, partition: int) -> int:
    """The partition's floor now. Raises TransientError where the partition is not there."""
    key = keys.meta(domain, partition)
    with store.on_node_of(key, "reading a floor") as node:
        floor: Any = node.hget(key, "floor")
    if floor is None:
        raise TransientError(f"Partition {partition} of domain {domain} is not in Redis.", code="NO_PARTITION")
    return int(floor)


def read_durable_places(store: Store, domain: str, import_seqs: dict[int, int]) -> dict[int, tuple[int, int]]:
    """Partition → its floor and the fence of the import asked for (-1: none), as they are on disk. `import_seqs`: partition → import.

    Asked for all partitions of a node at once. A partition that is not there (Redis was wiped) is not in the answer.
    """
    found: dict[int, tuple[int, int]] = {}
    by_node: dict[int, list[int]] = {}
    for partition in import_seqs:
        by_node.setdefault(id(store.node_of(keys.meta(domain, partition))), []).append(partition)
    for partitions in by_node.values():

        def read(node: Any, partitions: list[int] = partitions) -> list[Any]:
            pipe = node.pipeline(transaction=False)
            for partition in partitions:
                pipe.hget(keys.meta(domain, partition), "floor")
                pipe.hget(keys.fence(domain, partition), f"import:{import_seqs[partition]}")
            return list(pipe.execute())

        replies = read_durable(store, keys.meta(domain, partitions[0]), read)
        for partition, floor, fence in zip(partitions, replies[::2], replies[1::2], strict=True):
            if floor is not None:
                found[partition] = int(floor), -1 if fence is None else int(fence)
    return found


def read_profiles(store: Store, domain: str, partition: int, addresses: list[bytes]) -> list[bytes | None]:
    """What lies at the addresses of this partition, in order."""
    if not addresses:
        return []
    prefix = keys.address_prefix(domain, partition)
    with store.on_node_of(keys.meta(domain, partition), "reading profiles") as node:
        found: Any = node.mget([prefix + address for address in addresses])
    return list(found)


def commit(store: Store, state: PartitionState, change: Commit) -> tuple[CommitStatus, PartitionState]:
    """Apply one row batch, all or nothing. The state that comes back is good for the next commit only where the status is OK."""
    token = fresh_token()
    domain, partition = state.domain, state.partition
    outcomes = change.outcomes
    reply = store.run_script(
        "commit",
        [
            keys.meta(domain, partition),
            keys.ids(domain, partition),
            keys.fence(domain, partition),
            keys.tally(domain, partition, change.import_seq),
            keys.rejects(domain, partition, change.import_seq),
        ],
        [
            state.token,
            token,
            change.import_seq,
            change.batch_no,
            change.schema_version,
            state.profiles,
            change.created,
            change.rejects,
            *(outcomes.created, outcomes.updated, outcomes.unchanged, outcomes.skipped, outcomes.rejected, outcomes.cells),
            *change.records,
        ],
    )
    status = CommitStatus(text(reply[0]))
    if status is not CommitStatus.OK:
        return status, state
    fences = {**state.fences, change.import_seq: change.batch_no}
    return status, replace(state, token=token, profiles=state.profiles + len(change.created) // 16, fences=fences)
