"""The servers of the schedules. S3 and the nursery are everybody's; a broker is a lane's; Redis is a schedule's own, so that nobody else is hit.

A lane runs one schedule after the other, so a seed means the same alone and among many.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from deployments.embedded.broker import start_broker
from deployments.embedded.processes import LOOPBACK, free_port
from deployments.embedded.s3 import S3Server, start_s3
from deployments.embedded.valkey import ValkeyOptions, ValkeyServer, start_valkey
from tests.api_client import MASTER_KEY, write_principals
from tests.faults.nursery import Nursery
from tests.faults.schedule import Schedule
from tests.pipeline import Pipeline, access_to, pipeline
from tests.servers.cut_proxy import CutProxy
from tests.servers.kafka import KafkaBroker, KafkaJars, find_kafka
from tests.servers.valkey import start_cluster


class Broker(Protocol):
    """A broker that can be killed and started again on its port. `keeps`: what it had confirmed is there again."""

    keeps: bool
    session_timeout_ms: int

    @property
    def bootstrap_servers(self) -> str: ...

    def start(self) -> None: ...

    def kill(self) -> None: ...

    def stop(self) -> None: ...


class Apache(KafkaBroker):
    """Compiled quickly and not well: it is started again and again, and has little to do."""

    keeps = True
    session_timeout_ms = 2_000

    def _java(self) -> tuple[str, ...]:
        java, *rest = super()._java()
        return (java, "-XX:TieredStopAtLevel=1", *rest)


class Embedded:
    """Tansu: it holds everything in memory, so whoever kills it wipes the topics."""

    keeps = False
    session_timeout_ms = 6_000

    def __init__(self, directory: Path) -> None:
        self._directory, self._port = directory, free_port()

    @property
    def bootstrap_servers(self) -> str:
        return f"{LOOPBACK}:{self._port}"

    def start(self) -> None:
        self._server = start_broker(directory=self._directory, log_path=self._directory / "tansu.log", port=self._port)

    def kill(self) -> None:
        self._server.kill()

    def stop(self) -> None:
        self._server.stop()


def make_broker(directory: Path) -> Broker:
    """Real Kafka where Java is, else the embedded one; not started yet."""
    kafka = find_kafka()
    if not isinstance(kafka, KafkaJars):
        return Embedded(directory)
    broker = Apache(kafka, directory)
    broker.format()
    return broker


@dataclass(frozen=True)
class World:
    """What all lanes share."""

    directory: Path
    s3: S3Server
    nursery: Nursery


@contextmanager
def open_world(directory: Path) -> Iterator[World]:
    directory.mkdir(parents=True, exist_ok=True)
    with (
        start_s3(directory=directory / "s3", log_path=directory / "s3.log", port=free_port()) as s3,
        Nursery(directory / "nursery.log") as nursery,
    ):
        yield World(directory, s3, nursery)


@contextmanager
def open_lane(world: World, number: int) -> Iterator[Broker]:
    broker = make_broker(world.directory / f"broker-{number}")
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@dataclass
class RedisNode:
    """A server of the schedule's own: the only one, or one of a cluster."""

    server: ValkeyServer

    def start_again(self) -> None:
        """After a kill, on the same data and port."""
        self.server = start_valkey(self.server.options)


@dataclass
class Stage:
    """Where one schedule plays. `real` is the driver's own way to the servers; `environment` the processes', who reach Redis through `link`.

    A cluster's nodes name each other's addresses, so no link can be put between: it is None.
    """

    schedule: Schedule
    world: World
    broker: Broker
    directory: Path
    real: Pipeline
    environment: dict[str, str]
    nodes: list[RedisNode]
    link: CutProxy | None
    domain: str

    @property
    def domains(self) -> tuple[str, ...]:
        """The shop's own, first, and that of its households where they are imported."""
        return self.schedule.domains(self.domain)


@contextmanager
def open_stage(schedule: Schedule, world: World, broker: Broker, name: str) -> Iterator[Stage]:
    """`name`: of the domain and the bucket, nobody else's."""
    directory = world.directory / name
    directory.mkdir()
    with ExitStack() as stack:
        link = None
        if schedule.cluster:
            nodes = [RedisNode(server) for server in start_cluster(directory, schedule.fsync).nodes]
            direct = through = nodes[0].server.url
        else:
            options = ValkeyOptions(directory / "valkey", directory / "valkey.log", free_port(), fsync=schedule.fsync)
            nodes = [RedisNode(start_valkey(options))]
            link = stack.enter_context(CutProxy(LOOPBACK, options.port))
            direct, through = nodes[0].server.url, f"redis://{link.host}:{link.port}/0"
        for node in nodes:
            stack.callback(_stop, node)
        real = _pipeline(direct, broker, world, cluster=schedule.cluster)
        stack.callback(real.store.close)
        environment = _pipeline(through, broker, world, cluster=schedule.cluster).environment() | _of_the_api(directory, name)
        yield Stage(schedule, world, broker, directory, real, environment, nodes, link, name)


def _of_the_api(directory: Path, bucket: str) -> dict[str, str]:
    """Its settings, and of uploads."""
    return {
        "HEADRACE_API_PORT": str(free_port()),
        "HEADRACE_API_PRINCIPALS_FILE": str(write_principals(directory)),
        "HEADRACE_API_MASTER_KEY": MASTER_KEY.get_secret_value(),
        "HEADRACE_UPLOADS_BUCKET": bucket,
    }


def _stop(node: RedisNode) -> None:
    node.server.stop()


def _pipeline(url: str, broker: Broker, world: World, *, cluster: bool) -> Pipeline:
    made = pipeline(url, broker.bootstrap_servers, access_to(world.s3), cluster=cluster)
    made.settings.kafka.session_timeout_ms = broker.session_timeout_ms
    return made
