"""The servers of the benchmarks, all of them real and started here."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from pydantic import SecretStr

from deployments.embedded import s3
from deployments.embedded.broker import start_broker
from deployments.embedded.merge_worker import start_merge_worker
from deployments.embedded.processes import LOOPBACK, free_port, wait_until
from deployments.embedded.valkey import ValkeyOptions, ValkeyServer, start_valkey
from headrace.settings import KafkaSettings, RedisSettings, S3Settings, Settings
from object_store.access import S3Access
from object_store.store import ObjectStore
from profile_store.store import Store
from streaming.importing.context import ImportContext

SLOTS = 16_384
READY_SECONDS = 120.0


@dataclass(frozen=True)
class Servers:
    """`redis_url` names one node of a cluster where `cluster`. `pids`: what runs, by name. `nodes`, `health`: URLs of all Redis nodes and of the workers."""

    redis_url: str
    kafka: str
    endpoint_url: str
    cluster: bool = False
    pids: dict[str, int] = field(default_factory=dict)
    nodes: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        return {
            "HEADRACE_REDIS_URL": self.redis_url,
            "HEADRACE_REDIS_CLUSTER": str(self.cluster).lower(),
            "HEADRACE_KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "HEADRACE_KAFKA_SESSION_TIMEOUT_MS": "6000",
            "HEADRACE_S3_ENDPOINT_URL": self.endpoint_url,
            "HEADRACE_S3_ACCESS_KEY_ID": s3.ACCESS_KEY_ID,
            "HEADRACE_S3_SECRET_ACCESS_KEY": s3.SECRET_ACCESS_KEY,
        }

    def context(self) -> ImportContext:
        settings = Settings(
            redis=RedisSettings(url=SecretStr(self.redis_url), cluster=self.cluster),
            kafka=KafkaSettings(bootstrap_servers=self.kafka, session_timeout_ms=6_000),
            s3=S3Settings(),
        )
        return ImportContext(Store(settings.redis), settings.kafka, lambda _: ObjectStore(self.access()))

    def access(self) -> S3Access:
        return S3Access(self.endpoint_url, s3.REGION, s3.ACCESS_KEY_ID, s3.SECRET_ACCESS_KEY)

    def used_memory(self) -> int:
        """Of all nodes of Redis, in bytes."""
        return sum(used_memory(url) for url in self.nodes)

    def settle(self) -> None:
        """Until no node of Redis writes its log anew, which it does behind many changes, and which would slow whoever is measured next."""
        clients: list[Any] = [redis.Redis.from_url(url) for url in self.nodes]

        def calm() -> str | None:
            said = [client.info("persistence") for client in clients]
            busy = [one for one in said if one["aof_rewrite_in_progress"] or one["aof_rewrite_scheduled"]]
            return f"{len(busy)} rewrite their logs" if busy else None

        wait_until("the nodes of Redis have rewritten their logs", calm, seconds=READY_SECONDS)

    def wait_for_workers(self, domain: str, partitions: int) -> None:
        """Until the workers hold all partitions of a domain: they are up before a clock starts, as Redis is."""

        def held() -> str | None:
            shares = [_health(url).get(domain, {}).get("partitions", 0) for url in self.health]
            return None if sum(shares) == partitions and all(shares) else f"they hold {shares}"

        wait_until(f"the workers hold all partitions of {domain}", held, seconds=READY_SECONDS)


def _health(url: str) -> dict[str, Any]:
    """What a worker says of its domains, well or not."""
    try:
        said = urllib.request.urlopen(url, timeout=5)
    except urllib.error.HTTPError as error:
        said = error
    with said:
        domains: dict[str, Any] = json.load(said)["domains"]
    return domains


def used_memory(redis_url: str) -> int:
    store: Any = redis.Redis.from_url(redis_url)
    return int(store.info("memory")["used_memory"])


@contextmanager
def servers(directory: Path, workers: int = 2, nodes: int | None = None) -> Iterator[Servers]:
    """Redis (every write on disk before its reply), the embedded broker, S3 and merge workers, until the block ends.

    `nodes`: a Redis Cluster of so many primaries; None: one Redis that is no cluster.
    """
    with ExitStack() as stack:
        redis_nodes = [start_node(stack, directory, number, in_cluster=nodes is not None) for number in range(nodes or 1)]
        if nodes is not None:
            join(redis_nodes)
        broker = stack.enter_context(start_broker(directory=directory, log_path=directory / "broker.log", port=free_port()))
        objects = stack.enter_context(
            # Nobody measures the disk of a stand-in for S3.
            s3.start_s3(directory=directory, log_path=directory / "s3.log", port=free_port(), in_memory=1 << 30)
        )
        started = Servers(redis_nodes[0].url, broker.bootstrap_servers, objects.endpoint_url, nodes is not None)
        names = [f"redis-{number}" for number in range(nodes)] if nodes else ["redis"]
        started.pids.update(zip(names, (node.process.pid for node in redis_nodes), strict=True))
        started.pids.update(broker=broker.process.pid, s3=objects.process.pid)
        started.nodes.extend(node.url for node in redis_nodes)
        for number in range(workers):
            name = f"worker-{number}"
            worker = stack.enter_context(
                start_merge_worker(name=name, environment=started.environment(), directory=directory, log_path=directory / f"{name}.log")
            )
            started.pids[name] = worker.process.pid
            started.health.append(worker.health_url)
        yield started


def start_node(stack: ExitStack, directory: Path, number: int, *, in_cluster: bool) -> ValkeyServer:
    place = directory / f"redis-{number}"
    options = ValkeyOptions(place, directory / f"redis-{number}.log", free_port(), cluster_bus_port=free_port() if in_cluster else None)
    return stack.enter_context(start_valkey(options))


def join(nodes: list[ValkeyServer]) -> None:
    """Make one cluster of them, the slots shared evenly; returns when each says that it is whole."""
    clients: list[Any] = [redis.Redis.from_url(node.url) for node in nodes]
    for number, client in enumerate(clients):
        first, last = number * SLOTS // len(nodes), (number + 1) * SLOTS // len(nodes) - 1
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
    for node in nodes[1:]:
        clients[0].execute_command("CLUSTER", "MEET", LOOPBACK, node.port, node.options.cluster_bus_port)

    def whole() -> str | None:
        said = [client.execute_command("CLUSTER", "INFO").decode() for client in clients]
        wanted = ("cluster_state:ok", f"cluster_known_nodes:{len(nodes)}")
        return None if all(line in one for one in said for line in wanted) else said[0]

    wait_until("the cluster is whole", whole, seconds=READY_SECONDS)
    time.sleep(1)  # what the nodes tell each other about it takes a moment more
