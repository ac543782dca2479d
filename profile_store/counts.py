"""Where an import stands in the partitions: outcomes counted, what is in flight, what is refused from here on; and what they kept of it, until it is over."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from typing import Any

from headrace.failpoints import step
from headrace.outcomes import Outcomes
from profile_store import keys
from profile_store.durability import write_lost
from profile_store.each_partition import Ask, ask_each, ask_each_durable
from profile_store.store import Store, text


@dataclass(frozen=True, slots=True)
class InFlight:
    """What partitions have told each other about an import, and what of it was dealt with. Each number only grows."""

    claimed: int = 0
    settled: int = 0
    forwarded: int = 0
    arrived: int = 0

    @property
    def over(self) -> bool:
        return self.claimed == self.settled and self.forwarded == self.arrived


@dataclass(frozen=True, slots=True)
class Progress:
    """Where an import stands: outcomes counted so far, what is in flight, and the last batch applied in each partition (-1: none)."""

    outcomes: Outcomes
    in_flight: InFlight
    fences: tuple[int, ...]


def progress(store: Store, domain: str, partitions: int, import_seq: int) -> Progress:
    """What has been counted; a Redis that loses its last second loses some of it again."""
    return _progress(ask_each(store, domain, range(partitions), _asking_counts(domain, import_seq)))


def durable_progress(store: Store, domain: str, partitions: int, import_seq: int) -> Progress:
    """What has been counted, on disk. Partitions are not looked at in one moment: believe what two looks agree on."""
    return _progress(ask_each_durable(store, domain, range(partitions), _asking_counts(domain, import_seq)))


def _asking_counts(domain: str, import_seq: int) -> Ask:
    def ask(pipe: Any, partition: int) -> None:
        pipe.hgetall(keys.tally(domain, partition, import_seq))
        pipe.hget(keys.fence(domain, partition), f"import:{import_seq}")

    return ask


def _progress(replies: dict[int, list[Any]]) -> Progress:
    counts: Counter[str] = Counter()
    for found, _ in replies.values():
        for name, value in found.items():
            counts[text(name)] += int(value)
    fences = tuple(-1 if replies[partition][1] is None else int(replies[partition][1]) for partition in sorted(replies))
    outcomes, in_flight = ({one.name: counts[one.name] for one in fields(kind)} for kind in (Outcomes, InFlight))
    return Progress(Outcomes(**outcomes), InFlight(**in_flight), fences)


def close_rows(store: Store, domain: str, partitions: int, import_seq: int) -> None:
    """Refuse this import's row batches from here on; what its partitions still tell each other goes on.

    Durable before it returns. Raises TransientError, also where Redis came back without it: it is repeated.
    """
    for partition in range(partitions):
        with step("close_rows"):
            store.run_script("close_rows", [keys.meta(domain, partition)], [import_seq])
    for floor, closing in _durable_floors(store, domain, partitions):
        if floor + 1 == import_seq and closing != import_seq:
            raise write_lost(f"import {import_seq} of domain {domain}")


def raise_floors(store: Store, domain: str, partitions: int, import_seq: int, schema_version: str = "") -> None:
    """Refuse this import's messages from here on, in every partition.

    Durable before it returns. Raises TransientError, also where Redis came back without it: it is repeated.
    """
    for partition in range(partitions):
        with step("raise_floor"):
            store.run_script("raise_floor", [keys.meta(domain, partition)], [import_seq, schema_version])
    if any(floor < import_seq for floor, _ in _durable_floors(store, domain, partitions)):
        raise write_lost(f"import {import_seq} of domain {domain}")


def _durable_floors(store: Store, domain: str, partitions: int) -> list[tuple[int, int]]:
    """Of each partition its floor, and the import that takes no more row batches (0: none)."""

    def ask(pipe: Any, partition: int) -> None:
        pipe.hmget(keys.meta(domain, partition), ["floor", "closing"])

    found = ask_each_durable(store, domain, range(partitions), ask)
    return [(int(floor or 0), int(closing or 0)) for [(floor, closing)] in found.values()]


def drop_import(store: Store, domain: str, partitions: int, import_seq: int) -> None:
    """Forget what an import that is over kept in its partitions. Durable before it returns: nobody comes back for it once the import has ended.

    Raises TransientError, also where Redis came back with it: it is repeated.
    """
    for partition in range(partitions):
        names = [
            keys.meta(domain, partition),
            keys.fence(domain, partition),
            keys.tally(domain, partition, import_seq),
            keys.rejects(domain, partition, import_seq),
        ]
        with step("drop_import"):
            store.run_script("drop_import", names, [import_seq])

    def ask(pipe: Any, partition: int) -> None:
        pipe.exists(keys.tally(domain, partition, import_seq), keys.rejects(domain, partition, import_seq))
        pipe.hexists(keys.fence(domain, partition), f"import:{import_seq}")

    if any(any(left) for left in ask_each_durable(store, domain, range(partitions), ask).values()):
        raise write_lost(f"import {import_seq} of domain {domain}")


def read_rejects(store: Store, domain: str, partition: int, import_seq: int) -> list[bytes]:
    """The reject payloads of one partition, in commit order."""
    key = keys.rejects(domain, partition, import_seq)
    with store.on_node_of(key, "reading rejects") as node:
        found: Any = node.lrange(key, 0, -1)
    return list(found)
