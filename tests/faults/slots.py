"""Moving a slot of a Redis Cluster to another node under load, as `valkey-cli --cluster reshard` does: key by key, by the nodes' own commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from deployments.embedded.processes import LOOPBACK
from deployments.embedded.valkey import ValkeyServer

KEYS_AT_ONCE = 10


def move_slot(nodes: Sequence[ValkeyServer], tag: str) -> int:
    """Move the slot of a hash tag to the next node; how many keys went with it."""
    clients: list[Any] = [redis.Redis.from_url(node.url, socket_timeout=10) for node in nodes]
    names = [client.execute_command("CLUSTER", "MYID").decode() for client in clients]
    slot = clients[0].execute_command("CLUSTER", "KEYSLOT", tag)
    source = next(place for place, client in enumerate(clients) if _owns(client, slot))
    target = (source + 1) % len(clients)
    clients[target].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
    clients[source].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
    moved = 0
    while keys := clients[source].execute_command("CLUSTER", "GETKEYSINSLOT", slot, KEYS_AT_ONCE):
        clients[source].execute_command("MIGRATE", LOOPBACK, nodes[target].port, "", 0, 10_000, "KEYS", *keys)
        moved += len(keys)
    for place in (target, source, 3 - source - target):
        clients[place].execute_command("CLUSTER", "SETSLOT", slot, "NODE", names[target])
    for client in clients:
        client.close()
    return moved


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
