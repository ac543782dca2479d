"""When is what Redis acknowledged safe from its own restart? (DESIGN §2, Durability)

WAITAOF covers the writes of the caller's own connection only. But the log has one order: a write made *after* some replies were received
lies behind what they acknowledged. So `barrier` makes a tiny write of its own on each node, waits for that, and thereby covers every commit
whose reply came before the call, whichever connection, thread or process made it.

Unless the server was started again between those replies and the call, without its last second: then the barrier is one of another life.
`read_durable` reads and waits on one connection, which lives in one life of the server: what it gives is there to stay. redis-py makes a connection anew
between two commands, without a word, where a cluster's map is read again by another thread, or where a server tells that it moves; then WAITAOF would be
of a connection that wrote nothing, and answer at once. So the connection gets a name first, which only itself has at the end.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from headrace.errors import TransientError
from profile_store import keys
from profile_store.store import Store, text

_WAIT_MS = 5_000
T = TypeVar("T")


def partition_marks(domain: str, partitions: Iterable[int]) -> list[str]:
    return [keys.meta(domain, partition) for partition in partitions]


def barrier(store: Store, marks: Iterable[str]) -> None:
    """Return when all that was acknowledged on the nodes of these keys (hashes, which get a field `mark`) is on disk.

    With `fsync_always` the server has fsynced before it answered; with `everysec` there is no promise to wait for. Raises TransientError.
    """
    if store.settings.durability != "waitaof":
        return
    for mark in one_of_each_node(store, marks):
        read_durable(store, mark, lambda _: None)


def one_of_each_node(store: Store, marks: Iterable[str]) -> list[str]:
    return list({id(store.node_of(mark)): mark for mark in marks}.values())


def read_durable(store: Store, mark: str, read: Callable[[Any], T]) -> T:
    """What `read` finds on the node of `mark`, when it is on disk. `read` gets a connection to that node. Raises TransientError."""
    with store.on_node_of(mark, "waiting for durability") as node:
        # A connection of its own: WAITAOF is about the connection that wrote.
        connection: Any = node.client()  # type: ignore[no-untyped-call]
        try:
            if store.settings.durability != "waitaof":
                return read(connection)
            name = f"headrace-{secrets.token_hex(8)}"
            connection.client_setname(name)
            found = read(connection)
            _wait(connection, mark, store.settings.replicas)
            if text(connection.client_getname()) != name:
                raise TransientError("The connection to Redis was made anew while a write was waited for.", code="NOT_DURABLE")
        finally:
            connection.close()
    return found


def read_lives(store: Store, marks: Iterable[str]) -> frozenset[str]:
    """What the servers of these keys call their present lives: one that was started again has another. Raises TransientError.

    Where they are the same behind a `barrier` as before something was read, what was read is there to stay.
    """
    lives = set[str]()
    for mark in one_of_each_node(store, marks):
        with store.on_node_of(mark, "reading a server's life") as node:
            lives.add(str(node.info("server").get("run_id", "")))
    return frozenset(lives)


def write_lost(what: str) -> TransientError:
    """What was answered is not there: the server was started again since. Whoever wrote it writes it again."""
    return TransientError(f"Redis came back without what was just written about {what}.", code="WRITE_LOST")


def _wait(connection: Any, mark: str, replicas: int) -> None:
    connection.hset(mark, "mark", "1")
    local, remote = connection.execute_command("WAITAOF", 1, replicas, _WAIT_MS)
    if local < 1:
        raise TransientError(f"Redis did not make a write durable within {_WAIT_MS / 1000:g} s.", code="NOT_DURABLE")
    if remote < replicas:
        raise TransientError(
            f"Of the {replicas} replicas that have to have a write on disk (HEADRACE_REDIS_REPLICAS), {remote} had it within {_WAIT_MS / 1000:g} s.",
            code="NOT_DURABLE",
        )
