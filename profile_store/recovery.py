"""What a store lost that came back from a backup, or from a replica that lagged: registrations put back, and whether its parts fit together (SPEC R5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from headrace.errors import TerminalError
from headrace.segment_set import decode_segments
from profile_store import keys, sequence
from profile_store.registration import Registration
from profile_store.segment_registry import detail_pairs
from profile_store.store import Store, text


class Restored(StrEnum):
    """What became of a registration that was to be put back."""

    OK = "OK"
    THERE = "THERE"
    TAKEN = "TAKEN"
    GAP = "GAP"


def restore_registration(store: Store, registration: Registration, identity: str) -> Restored:
    """Put it back under its own number and token, unless it is there. Not durable by itself: see `durability.barrier`."""
    domain, import_seq = registration.domain, registration.import_seq
    revision = decode_segments(registration.segments, import_seq).revision if registration.segments else 0
    reply = store.run_script(
        "restore_registration",
        [
            keys.sequence(domain),
            keys.open_imports(domain),
            keys.schema(domain),
            keys.registration(domain, import_seq),
            keys.segments(domain),
        ],
        [
            import_seq,
            registration.as_json(),
            registration.token,
            identity,
            registration.schema,
            registration.segments,
            revision,
            *detail_pairs(registration),
        ],
    )
    return Restored(text(reply))


@dataclass(frozen=True, slots=True)
class _Part:
    """What one partition says of itself. `waiting`: (target, number) of its outbox."""

    floor: int
    heard: dict[int, int]
    told: dict[int, int]
    waiting: frozenset[tuple[int, int]]


def disagreements(store: Store, domain: str, partitions: int) -> list[str]:
    """Where the partitions and the domain are not of one moment, in words: nodes of a cluster that were restored from backups of different times.

    Right while workers go on: of two numbers the one that must not be smaller is read later. Raises TerminalError where a partition is missing.
    """
    over = sequence.domain_floor(store, domain)
    before, between, after = ([_read(store, domain, number) for number in range(partitions)] for _ in range(3))
    behind = (
        f"partition {number} has ended import {part.floor}, the domain {over}" for number, part in enumerate(before) if part.floor < over
    )
    return [*behind, *_ahead(store, domain, before), *_of_messages(before, between, after)]


def _ahead(store: Store, domain: str, parts: list[_Part]) -> Iterator[str]:
    """An import is registered, and has its result, before it is over in any partition."""
    over = sequence.domain_floor(store, domain)
    ending = sequence.load(store, domain, over + 1)
    may_end = ending is not None and (ending.is_definition or sequence.read_result(store, domain, over + 1) is not None)
    for number, part in enumerate(parts):
        if part.floor > over + may_end:
            yield f"partition {number} has ended import {part.floor}, the domain {over}"


def _of_messages(before: list[_Part], between: list[_Part], after: list[_Part]) -> Iterator[str]:
    for source, part in enumerate(between):
        for target in range(len(between)):
            told = part.told.get(target, -1)
            heard = before[target].heard.get(source, -1)
            if heard > told:
                yield f"partition {target} has message {heard} of partition {source}, which has sent {told}"
            for number in range(after[target].heard.get(source, -1) + 1, told + 1):
                if (target, number) not in part.waiting:
                    yield f"partition {target} lacks message {number} of partition {source}, which has deleted it"
                    break


def _read(store: Store, domain: str, partition: int) -> _Part:
    key = keys.meta(domain, partition)
    with store.on_node_of(key, "reading what a partition says of itself") as node:
        pipe = node.pipeline(transaction=True)
        pipe.hget(key, "floor")
        pipe.hgetall(keys.fence(domain, partition))
        pipe.hkeys(keys.outbox(domain, partition))
        floor, fence, waiting = pipe.execute()
    if floor is None:
        raise TerminalError(
            f"Partition {partition} of domain {domain} is not in Redis.",
            code="NO_PARTITION",
            hint="A node of the cluster is empty, or older than the domain: restore it like the others.",
        )
    return _Part(int(floor), _numbers(fence, "from"), _numbers(fence, "to"), frozenset(_place(one) for one in waiting))


def _numbers(fence: dict[Any, Any], kind: str) -> dict[int, int]:
    found = ((text(name).partition(":"), value) for name, value in fence.items())
    return {int(which): int(value) for (first, _, which), value in found if first == kind}


def _place(field: Any) -> tuple[int, int]:
    target, _, number = text(field).partition(":")
    return int(target), int(number)
