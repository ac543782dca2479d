"""Data exchange: how many unique profiles a connection has imported, and exported, exactly (SPEC R3, docs/adr/0017, docs/adr/0020).

A profile that came again counts once, whatever file or goal it came by. One that was erased counts still: that something was exchanged is history, and a
number of a profile says nothing about who it was. Profiles of different domains, and groups, are counted apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from profile_store import keys, registry
from profile_store.each_partition import ask_each
from profile_store.store import Store


@dataclass(frozen=True, slots=True)
class Exchange:
    """What one connection exchanged with one domain: unique profiles."""

    connection: str
    domain: str
    imported: int
    exported: int = 0


def read_exchange(store: Store, connections: Iterable[str]) -> list[Exchange]:
    """In the order of the connections, and of the domains' names; only where there was an exchange. Raises TransientError."""
    partitions = {name: one.partitions for name, one in sorted(registry.stored_domains(store).items())}
    counted = (
        (connection, domain, *_counted(store, domain, count, connection))
        for connection in connections
        for domain, count in partitions.items()
    )
    return [Exchange(connection, domain, imported, exported) for connection, domain, imported, exported in counted if imported or exported]


def _counted(store: Store, domain: str, partitions: int, connection: str) -> tuple[int, int]:
    """Imported, exported."""

    def ask(pipe: Any, partition: int) -> None:
        pipe.bitcount(keys.seen(domain, partition, connection))
        pipe.bitcount(keys.exported(domain, partition, connection))

    counts = list(ask_each(store, domain, range(partitions), ask).values())
    return sum(int(one) for one, _ in counts), sum(int(one) for _, one in counts)
