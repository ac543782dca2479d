"""One question to all partitions of a domain: one round trip to each node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from profile_store import keys
from profile_store.durability import read_durable
from profile_store.store import Store

Ask = Callable[[Any, int], None]
"""Puts commands for a partition into a pipeline: as many for each."""


def ask_each(store: Store, domain: str, numbers: Iterable[int], ask: Ask) -> dict[int, list[Any]]:
    """Partition → the replies, as they are now. Raises TransientError."""
    found: dict[int, list[Any]] = {}
    for mark, partitions in _by_node(store, domain, numbers):
        with store.on_node_of(mark, "asking all partitions") as node:
            found |= _ask(node, partitions, ask)
    return found


def ask_each_durable(store: Store, domain: str, numbers: Iterable[int], ask: Ask) -> dict[int, list[Any]]:
    """Partition → the replies, and what they tell is on disk. Raises TransientError."""
    found: dict[int, list[Any]] = {}
    for mark, partitions in _by_node(store, domain, numbers):
        found |= read_durable(store, mark, lambda node, partitions=partitions: _ask(node, partitions, ask))  # type: ignore[misc]
    return found


def _by_node(store: Store, domain: str, numbers: Iterable[int]) -> Iterator[tuple[str, list[int]]]:
    nodes: dict[int, list[int]] = {}
    for partition in numbers:
        nodes.setdefault(id(store.node_of(keys.meta(domain, partition))), []).append(partition)
    for partitions in nodes.values():
        yield keys.meta(domain, partitions[0]), partitions


def _ask(node: Any, partitions: list[int], ask: Ask) -> dict[int, list[Any]]:
    pipe = node.pipeline(transaction=False)
    for partition in partitions:
        ask(pipe, partition)
    replies = list(pipe.execute())
    each = len(replies) // len(partitions)
    return {partition: replies[at * each : (at + 1) * each] for at, partition in enumerate(partitions)}
