"""One partition of a domain as its worker sees it: take it over, read its profiles, commit to it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, cast

from headrace.address import ADDRESS_BYTES
from headrace.errors import TransientError
from headrace.failpoints import step
from profile_store import keys
from profile_store.each_partition import ask_each_durable
from profile_store.read_addresses import mget_addresses, mget_addresses_and_field
from profile_store.seen import SeenProfiles, Span
from profile_store.segment_bits import BitmapChange, SegmentBits
from profile_store.store import Store, text


def fresh_token() -> str:
    """Random, so that it can't come round again after a rollback, as a counter would (DESIGN §2)."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class PartitionState:
    """What the owner of a partition knows of it. `token` is compared, never ordered; `next_token` is what the next commit leaves.

    `fences`: import_seq → last batch applied; `heard`: neighbour → last message of it applied; `told`: neighbour → last message for it.
    `closing`: the import that takes no more row batches, 0 for none. `seen`: what the connection of the import under way has imported, where that was
    looked at: it stands and falls with `token`. `segments`: the word for what the partition's segments are, '' where it has none; `bits`: theirs, where
    they were looked at: they stand and fall with `token` and that word.
    """

    domain: str
    partition: int
    token: str
    floor: int
    profiles: int
    schema_version: int
    fences: dict[int, int]
    heard: dict[int, int] = field(default_factory=dict)
    told: dict[int, int] = field(default_factory=dict)
    closing: int = 0
    seen: SeenProfiles | None = None
    segments: str = ""
    bits: SegmentBits | None = None
    next_token: str = field(default_factory=fresh_token)

    def fence_of(self, import_seq: int) -> int:
        return self.fences.get(import_seq, -1)

    def heard_of(self, neighbour: int) -> int:
        return self.heard.get(neighbour, -1)


class CommitStatus(StrEnum):
    OK = "OK"
    TOKEN = "TOKEN"  # noqa: S105 - the name of a status
    SCHEMA = "SCHEMA"
    SEGMENTS = "SEGMENTS"
    FLOOR = "FLOOR"
    CLOSED = "CLOSED"
    GAP = "GAP"
    APPLIED = "APPLIED"


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A message for a neighbour that may not have it on disk yet."""

    target: int
    number: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """What one group of messages changes in one partition.

    `batch_no`: of the group's row batch, if it holds one; `heard`: neighbour → (first, last) number of its messages in the group. `counts`: tally
    field → change. `addresses`: of changed profiles, packed, and `records`: theirs, each with a LF behind it; `pointers`: address and profile
    identifier, packed; `created`: the identifiers of new profiles, packed, in the order of their numbers. `told`: messages for neighbours, numbered
    from `PartitionState.told` on. `emptied`, `suppressed`: addresses of an erased profile, packed; `erased`: numbers of erased profiles. `seen`: what
    changes in `PartitionState.seen`; `segments`: in the bitmaps of `PartitionState.bits`.
    """

    import_seq: int
    batch_no: int | None
    schema_version: int
    counts: dict[str, int]
    addresses: bytes = b""
    records: bytes = b""
    created: bytes = b""
    rejects: bytes = b""
    pointers: bytes = b""
    heard: dict[int, tuple[int, int]] = field(default_factory=dict)
    told: tuple[OutboxEntry, ...] = ()
    emptied: bytes = b""
    suppressed: bytes = b""
    erased: tuple[int, ...] = ()
    seen: tuple[Span, ...] = ()
    segments: tuple[BitmapChange, ...] = ()


def make_partitions(store: Store, domain: str, partitions: int, schema_version: int, floor: int = 0) -> None:
    """The `meta` of each partition of a new domain; what is there stays. `floor`: the last import of a domain that had the name before."""
    for partition in range(partitions):
        key = keys.meta(domain, partition)
        with store.on_node_of(key, "making partitions") as node:
            pipe = node.pipeline(transaction=False)
            for name, value in (("floor", floor), ("profiles", 0), ("schema", schema_version), ("token", fresh_token())):
                pipe.hsetnx(key, name, value)
            pipe.execute()


def take_over(store: Store, domain: str, partition: int) -> tuple[PartitionState, list[OutboxEntry]]:
    """Become the partition's owner: a fresh token shuts out whoever held it before. Gives its outbox too, in order for each target.

    Not durable yet: see `durability.barrier`. Raises TransientError where the partition is not there (a Redis that was wiped, or not restored yet).
    """
    token = fresh_token()
    reply = store.run_script(
        "take_over", [keys.meta(domain, partition), keys.fence(domain, partition), keys.outbox(domain, partition)], [token]
    )
    if not reply:
        raise TransientError(
            f"Partition {partition} of domain {domain} is not in Redis.",
            code="NO_PARTITION",
            hint="Was Redis wiped? Restore it, or apply the domain again.",
        )
    floor, profiles, schema, closing, segments, flat, waiting = reply
    fields: dict[str, dict[int, int]] = {"import": {}, "from": {}, "to": {}}
    for name, number in zip(flat[::2], flat[1::2], strict=True):
        kind, _, which = text(name).partition(":")
        fields[kind][int(which)] = int(number)
    state = PartitionState(
        domain,
        partition,
        token,
        int(floor),
        int(profiles),
        int(schema),
        fields["import"],
        fields["from"],
        fields["to"],
        int(closing or 0),
        segments=text(segments),
    )
    entries = [
        OutboxEntry(*map(int, text(name).split(":")), value)  # type: ignore[call-arg,arg-type]
        for name, value in zip(waiting[::2], waiting[1::2], strict=True)
    ]
    return state, sorted(entries, key=lambda one: (one.target, one.number))


def read_floor(store: Store, domain: str, partition: int) -> tuple[int, int]:
    """The partition's floor now, and the import that takes no more row batches (0: none). Raises TransientError where it is not there."""
    key = keys.meta(domain, partition)
    with store.on_node_of(key, "reading a floor") as node:
        floor, closing = cast("list[Any]", node.hmget(key, ["floor", "closing"]))
    if floor is None:
        raise TransientError(f"Partition {partition} of domain {domain} is not in Redis.", code="NO_PARTITION")
    return int(floor), int(closing or 0)


def is_ours(store: Store, state: PartitionState) -> bool:
    """Whether the partition is as we left it."""
    key = keys.meta(state.domain, state.partition)
    with store.on_node_of(key, "reading a partition's token") as node:
        token: Any = node.hget(key, "token")
    return text(token) == state.token


def read_durable_tokens(store: Store, domain: str, numbers: Iterable[int]) -> dict[int, str]:
    """Partition → its token as it is on disk, and with it everything that was committed before it was left there.

    Asked for all partitions of a node at once. A partition that is not there (Redis was wiped) is not in the answer.
    """

    def ask(pipe: Any, partition: int) -> None:
        pipe.hget(keys.meta(domain, partition), "token")

    found = ask_each_durable(store, domain, numbers, ask)
    return {partition: text(token) for partition, [token] in found.items() if token is not None}


def read_durable_heard(store: Store, domain: str, wanted: dict[int, list[int]]) -> dict[tuple[int, int], int]:
    """(target, source) → the last message of the source that the target has applied, on disk (-1: none). `wanted`: target → sources."""

    def ask(pipe: Any, target: int) -> None:
        pipe.hmget(keys.fence(domain, target), [f"from:{source}" for source in wanted[target]])

    found = ask_each_durable(store, domain, wanted, ask)
    return {
        (target, source): -1 if number is None else int(number)
        for target, sources in wanted.items()
        for source, number in zip(sources, found[target][0], strict=True)
    }


def delete_outbox(store: Store, domain: str, partition: int, entries: Iterable[tuple[int, int]]) -> None:
    """Forget the messages (target, number) that their receivers have on disk. Whoever does it, and however often: they are not needed any more."""
    key = keys.outbox(domain, partition)
    fields = [f"{target}:{number}" for target, number in entries]
    if fields:
        with step("outbox_delete"), store.on_node_of(key, "deleting from an outbox") as node:
            node.hdel(key, *fields)


def read_profiles(store: Store, domain: str, partition: int, addresses: Iterable[bytes]) -> list[bytes | None]:
    """What lies at the addresses of this partition, in order."""
    return read_packed(store, domain, partition, b"".join(addresses))


def read_packed(store: Store, domain: str, partition: int, packed: bytes) -> list[bytes | None]:
    """The same for addresses that lie one behind the other."""
    with store.on_node_of(keys.meta(domain, partition), "reading profiles") as node:
        return mget_addresses(node, keys.address_prefix(domain, partition), packed)


def read_of(store: Store, state: PartitionState, addresses: Iterable[bytes]) -> list[bytes | None] | None:
    """What lies at the addresses of a partition, in order, as of the very commit whose token `state` has; None where the partition is another one.

    It may be so for a moment: a commit of ours whose reply was lost is there, and Redis may lose it yet. What is read then must not be merged, since the
    token may be ours again by the time it is committed. On one connection, as nothing comes back in one life of a server.
    """
    packed = b"".join(addresses)
    if not packed:
        return []
    domain, partition = state.domain, state.partition
    key = keys.meta(domain, partition)
    with store.on_node_of(key, "reading profiles") as node:
        found, token = mget_addresses_and_field(node, keys.address_prefix(domain, partition), packed, key, "token")
    return found if text(token) == state.token else None


def read_identifiers(store: Store, domain: str, partition: int, first: int, end: int) -> bytes:
    """Packed identifiers of the profiles with these numbers, `end` not among them; of an erased one 16 zeros."""
    key = keys.ids(domain, partition)
    with store.on_node_of(key, "listing profiles") as node:
        found: Any = node.getrange(key, first * 16, end * 16 - 1)
    return bytes(found)


def profile_counts(store: Store, domain: str, partitions: int) -> list[int]:
    """How many profiles each partition has numbered, erased ones too; on disk."""

    def ask(pipe: Any, partition: int) -> None:
        pipe.hget(keys.meta(domain, partition), "profiles")

    found = ask_each_durable(store, domain, range(partitions), ask)
    return [int(found[partition][0] or 0) for partition in range(partitions)]


def commit(store: Store, state: PartitionState, change: Commit) -> tuple[CommitStatus, PartitionState]:
    """Apply one group of messages, all or nothing. The state that comes back is good for the next commit only where the status is OK."""
    domain, partition = state.domain, state.partition
    counts = {name: number for name, number in change.counts.items() if number}
    bitmaps = [*_seen_change(state, change), *((bitmap.key, spans) for bitmap, spans in change.segments)]
    reply = store.run_script(
        "commit",
        [
            keys.meta(domain, partition),
            keys.ids(domain, partition),
            keys.fence(domain, partition),
            keys.tally(domain, partition, change.import_seq),
            keys.rejects(domain, partition, change.import_seq),
            keys.outbox(domain, partition),
            keys.nothing(domain, partition),
            *(key for key, _ in bitmaps),
        ],
        [
            state.token,
            state.next_token,
            change.import_seq,
            "" if change.batch_no is None else change.batch_no,
            change.schema_version,
            state.profiles,
            change.created,
            change.rejects,
            state.segments,
            len(change.heard),
            *(one for source, (first, last) in change.heard.items() for one in (source, first, last)),
            len(counts),
            *(one for pair in counts.items() for one in pair),
            len(change.told),
            *(part for one in change.told for part in (one.target, one.number, one.value)),
            *(part for _, spans in bitmaps for part in (len(spans), *(one for span in spans for one in span))),
            keys.address_prefix(domain, partition),
            change.addresses,
            change.records,
            change.pointers,
            change.emptied,
            change.suppressed,
            *change.erased,
        ],
    )
    status = CommitStatus(text(reply[0]))
    if status is not CommitStatus.OK:
        return status, state
    after = replace(
        state,
        token=state.next_token,
        next_token=fresh_token(),
        profiles=state.profiles + len(change.created) // ADDRESS_BYTES,
        fences=state.fences if change.batch_no is None else {**state.fences, change.import_seq: change.batch_no},
        heard={**state.heard, **{source: last for source, (_, last) in change.heard.items()}},
        told={**state.told, **{one.target: one.number for one in change.told}},
    )
    if state.seen is not None:
        state.seen.write(change.seen)
    for bitmap, spans in change.segments:
        bitmap.write(spans)
    return status, after


def _seen_change(state: PartitionState, change: Commit) -> Iterator[tuple[str, tuple[Span, ...]]]:
    if state.seen is not None and change.seen:
        yield keys.seen(state.domain, state.partition, state.seen.connection), change.seen
