"""Moving a slot of a Redis Cluster to another node under load, as `valkey-cli --cluster reshard` does: key by key, by the nodes' own commands.

Where a node dies meanwhile it goes on when that one is back, as `valkey-cli --cluster fix` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import redis

from deployments.embedded.processes import LOOPBACK
from deployments.embedded.valkey import ValkeyServer
from tests.polling import eventually

KEYS_AT_ONCE = 10
_AWAY = (redis.ConnectionError, redis.TimeoutError, redis.exceptions.TryAgainError, redis.exceptions.ClusterDownError)


def move_slot(nodes: Sequence[ValkeyServer], tag: str, halfway: Callable[[int, int], None] = lambda _source, _target: None) -> int:
    """Move the slot of a hash tag to the next node; how many keys went with it. `halfway`: called once with the places of the nodes that give and take
    it, when a part of the keys has gone."""
    clients: list[Any] = [redis.Redis.from_url(node.url, socket_timeout=10) for node in nodes]
    names = [client.execute_command("CLUSTER", "MYID").decode() for client in clients]
    slot = clients[0].execute_command("CLUSTER", "KEYSLOT", tag)
    source = next(place for place, client in enumerate(clients) if _owns(client, slot))
    target = (source + 1) % len(clients)
    moved = 0

    def ask(place: int, *command: object) -> Any:
        return _answered(clients[place], *command)

    ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
    ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
    while keys := ask(source, "CLUSTER", "GETKEYSINSLOT", slot, KEYS_AT_ONCE):
        # REPLACE: of a move whose answer was lost the target has keys already, which the source has gone on with.
        ask(source, "MIGRATE", LOOPBACK, nodes[target].port, "", 0, 10_000, "REPLACE", "KEYS", *keys)
        if not moved:
            halfway(source, target)
        moved += len(keys)
    for place in (target, source, 3 - source - target):
        ask(place, "CLUSTER", "SETSLOT", slot, "NODE", names[target])
    for client in clients:
        client.close()
    return moved


def _answered(client: Any, *command: object) -> Any:
    """The answer, once the node is there, and the one that it talks to."""

    def attempt() -> list[Any] | None:
        try:
            return [client.execute_command(*command)]
        except _AWAY:
            return None
        except redis.ResponseError as error:
            if str(error).startswith(("IOERR", "LOADING", "CLUSTERDOWN")):
                return None
            raise

    return eventually(attempt, within=30, what=f"{command[0]} is answered")[0]


def _owns(client: Any, slot: int) -> bool:
    """Whether a node says of itself that the slot is its own."""
    nodes = client.execute_command("CLUSTER", "NODES")
    lines = nodes.decode().splitlines() if isinstance(nodes, bytes) else [f"x {flags}" for flags in nodes]
    [mine] = [line for line in lines if "myself" in line]
    for word in mine.split()[8:]:
        first, _, last = word.partition("-")
        if not word.startswith("[") and int(first) <= slot <= int(last or first):
            return True
    return False
