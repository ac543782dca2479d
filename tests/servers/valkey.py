"""Real Valkey for the suite: one node, a cluster of three, and one that a test may kill. A pytest plugin.

`valkey` and `valkey_cluster` are empty when a test gets them; `redis_target` runs the test once against each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from redis.cluster import RedisCluster

from deployments.embedded.processes import LOOPBACK, free_port, wait_until
from deployments.embedded.valkey import Fsync, ValkeyOptions, ValkeyServer, start_valkey, version
from tests.servers.report import ServerReport

SLOTS = 16_384
CLUSTER_NODES = 3
CLUSTER_SECONDS = 90.0


@dataclass(frozen=True)
class ValkeyCluster:
    """Three masters, no replicas; any node's address leads to the others."""

    nodes: tuple[ValkeyServer, ...]

    @property
    def url(self) -> str:
        return self.nodes[0].url

    def flush(self) -> None:
        for node in self.nodes:
            flush(node)


@dataclass(frozen=True)
class RedisTarget:
    """What HEADRACE_REDIS_URL and HEADRACE_REDIS_CLUSTER say of it."""

    url: str
    cluster: bool


def flush(server: ValkeyServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        client.script_flush()


def start_cluster(directory: Path, fsync: Fsync = "always") -> ValkeyCluster:
    """Three nodes that know each other and share the slots; returns when each of them says that the cluster is whole."""
    with ExitStack() as undo:
        nodes = []
        for number in range(CLUSTER_NODES):
            data, log = directory / f"node-{number}", directory / f"node-{number}.log"
            options = ValkeyOptions(data, log, free_port(), fsync=fsync, cluster_bus_port=free_port())
            nodes.append(undo.enter_context(start_valkey(options)))
        clients = [undo.enter_context(redis.Redis.from_url(node.url)) for node in nodes]
        for number, client in enumerate(clients):
            first, last = number * SLOTS // CLUSTER_NODES, (number + 1) * SLOTS // CLUSTER_NODES - 1
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            # Distinct epochs from the start: two equal ones would be settled by an election of its own, seconds later.
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in nodes[1:]:
            clients[0].execute_command("CLUSTER", "MEET", LOOPBACK, node.port, node.options.cluster_bus_port)
        wait_until("all three nodes say cluster_state:ok", lambda: cluster_state(clients), seconds=CLUSTER_SECONDS)
        for client in clients:
            client.close()
        undo.pop_all()
        return ValkeyCluster(tuple(nodes))


def cluster_state(clients: list[redis.Redis]) -> str | None:
    """None when every node sees all slots served and all nodes known; otherwise what one of them sees."""
    for client in clients:
        answer: bytes = client.execute_command("CLUSTER", "INFO")  # type: ignore[no-untyped-call] # redis-py does not type it
        info = dict(line.split(":", 1) for line in answer.decode().split())
        if info["cluster_state"] != "ok" or info["cluster_known_nodes"] != str(CLUSTER_NODES):
            return f"cluster_state:{info['cluster_state']}, {info['cluster_known_nodes']} nodes known, {info['cluster_slots_ok']} slots"
    return None


def cluster_client(cluster: ValkeyCluster) -> RedisCluster:
    return RedisCluster.from_url(cluster.url)


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory, server_report: ServerReport) -> Iterator[ValkeyServer]:
    """Shared by the whole run: take `valkey` for an empty one."""
    directory = tmp_path_factory.mktemp("valkey")
    with start_valkey(ValkeyOptions(directory / "data", directory / "valkey.log", free_port())) as server:
        server_report.note_ran("Valkey", f"Valkey {version()} (one node)")
        yield server


@pytest.fixture(scope="session")
def valkey_cluster_servers(tmp_path_factory: pytest.TempPathFactory, server_report: ServerReport) -> Iterator[ValkeyCluster]:
    """Shared by the whole run: take `valkey_cluster` for an empty one."""
    cluster = start_cluster(tmp_path_factory.mktemp("valkey-cluster"))
    with ExitStack() as stopping:
        for node in cluster.nodes:
            stopping.enter_context(node)
        server_report.note_ran("Valkey cluster", f"Valkey {version()} cluster ({CLUSTER_NODES} nodes)")
        yield cluster


@pytest.fixture
def valkey(valkey_server: ValkeyServer) -> ValkeyServer:
    """One node, empty. A test that changes its configuration, or kills it, takes `own_valkey`."""
    flush(valkey_server)
    return valkey_server


@pytest.fixture
def valkey_cluster(valkey_cluster_servers: ValkeyCluster) -> ValkeyCluster:
    """Three masters, empty."""
    valkey_cluster_servers.flush()
    return valkey_cluster_servers


@pytest.fixture(params=["one node", "cluster"])
def redis_target(request: pytest.FixtureRequest) -> RedisTarget:
    """The test runs twice: on one node and on the cluster. Both are empty."""
    if request.param == "cluster":
        cluster: ValkeyCluster = request.getfixturevalue("valkey_cluster")
        return RedisTarget(cluster.url, cluster=True)
    server: ValkeyServer = request.getfixturevalue("valkey")
    return RedisTarget(server.url, cluster=False)


@pytest.fixture
def own_valkey(tmp_path: Path, server_report: ServerReport) -> Iterator[Callable[[], ValkeyServer]]:
    """Starts a node of this test's own; called again after `kill()`, it goes on with the same data on the same port."""
    options = ValkeyOptions(tmp_path / "valkey", tmp_path / "valkey.log", free_port())
    with ExitStack() as stopping:

        def start() -> ValkeyServer:
            server = stopping.enter_context(start_valkey(options))
            server_report.note_ran("Valkey", f"Valkey {version()} (one node)")
            return server

        yield start
