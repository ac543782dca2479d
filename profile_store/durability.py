"""When is what Redis acknowledged safe from its own restart? (DESIGN §2, Durability)

WAITAOF covers the writes of the caller's own connection only. But the log has one order: a write made *after* some replies were received lies
behind what they acknowledged. So `barrier` makes a tiny write of its own on each node, waits for that, and thereby covers every commit whose reply
came before the call, whichever connection, thread or process made it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from headrace.errors import TransientError
from profile_store import keys
from profile_store.store import Store

_WAIT_MS = 5_000


def partition_marks(domain: str, partitions: Iterable[int]) -> list[str]:
    return [keys.meta(domain, partition) for partition in partitions]


def barrier(store: Store, marks: Iterable[str]) -> None:
    """Return when all that was acknowledged on the nodes of these keys (hashes, which get a field `mark`) is on disk.

    With `fsync_always` the server has fsynced before it answered; with `everysec` there is no promise to wait for. Raises TransientError.
    """
    if store.settings.durability != "waitaof":
        return
    one_of_each_node = {id(store.node_of(mark)): mark for mark in marks}
    for mark in one_of_each_node.values():
        _wait(store, mark)


def _wait(store: Store, mark: str) -> None:
    with store.on_node_of(mark, "waiting for durability") as node:
        connection: Any = node.client()  # type: ignore[no-untyped-call]  # one connection of its own: WAITAOF is about the connection that wrote
        try:
            connection.hset(mark, "mark", "1")
            local, _replicas = connection.execute_command("WAITAOF", 1, 0, _WAIT_MS)
        finally:
            connection.close()
    if local < 1:
        raise TransientError(f"Redis did not make a write durable within {_WAIT_MS // 1000} s.", code="NOT_DURABLE")
