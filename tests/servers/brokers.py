"""Kafka for the suite: the real one, the embedded one, and a real one that a test may kill. A pytest plugin.

Brokers are shared and not emptied: a test makes its own topics and consumer groups, with names of its own (`topic_name`).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.embedded.broker import BrokerServer, start_broker, version
from deployments.embedded.processes import free_port
from tests.servers.kafka import KafkaBroker, KafkaImage, KafkaJars, NoKafka, find_kafka, run_image
from tests.servers.report import ServerReport

MUST_RUN = "HEADRACE_TESTS_NEED_KAFKA"
"""Set in the environment, a missing Kafka is a failure: for the place where the suite decides about a release."""

RealKafka = KafkaJars | KafkaImage | NoKafka


def without(kafka: NoKafka, report: ServerReport) -> None:
    """Skip, aloud: the reason is in the list of skips and in the summary of servers."""
    report.note_missing("Apache Kafka", kafka.reason)
    message = f"real Apache Kafka can't run here: {kafka.reason}. Install Java 17 and Maven, or start a Docker engine."
    if os.environ.get(MUST_RUN):
        pytest.fail(f"{message} {MUST_RUN} is set: it has to.")
    pytest.skip(message)


@pytest.fixture(scope="session")
def real_kafka() -> RealKafka:
    """How real Kafka can run on this machine, or why not."""
    return find_kafka()


def started(jars: KafkaJars, directory: Path, report: ServerReport) -> KafkaBroker:
    broker = KafkaBroker(jars, directory)
    broker.format()
    broker.start()
    report.note_ran("Apache Kafka", f"Apache Kafka {jars.version} (KRaft, Maven)")
    return broker


@pytest.fixture(scope="session")
def apache_kafka(real_kafka: RealKafka, tmp_path_factory: pytest.TempPathFactory, server_report: ServerReport) -> Iterator[str]:
    """Bootstrap servers of a real Kafka that the whole run shares."""
    if isinstance(real_kafka, KafkaJars):
        broker = started(real_kafka, tmp_path_factory.mktemp("kafka"), server_report)
        try:
            yield broker.bootstrap_servers
        finally:
            broker.stop()
    elif isinstance(real_kafka, KafkaImage):
        with run_image(real_kafka) as servers:
            server_report.note_ran("Apache Kafka", f"Apache Kafka {real_kafka.version} (KRaft, container)")
            yield servers
    else:
        without(real_kafka, server_report)


@pytest.fixture(scope="module")
def own_kafka(real_kafka: RealKafka, tmp_path_factory: pytest.TempPathFactory, server_report: ServerReport) -> Iterator[KafkaBroker]:
    """A real broker of this module's own: `kill()` it, and `start()` it again on the same data. Needs the jars, a container won't do."""
    if isinstance(real_kafka, KafkaImage):
        without(NoKafka("a test kills the broker and starts it on its data: that needs Java and Maven here"), server_report)
    if isinstance(real_kafka, NoKafka):
        without(real_kafka, server_report)
    assert isinstance(real_kafka, KafkaJars)
    broker = started(real_kafka, tmp_path_factory.mktemp("own-kafka"), server_report)
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def tansu_server(tmp_path_factory: pytest.TempPathFactory, server_report: ServerReport) -> Iterator[BrokerServer]:
    """The embedded broker, shared by the whole run."""
    directory = tmp_path_factory.mktemp("tansu")
    with start_broker(directory=directory, log_path=directory / "tansu.log", port=free_port()) as server:
        server_report.note_ran("Tansu", f"Tansu {version().removeprefix('v')}")
        yield server


@pytest.fixture(params=["Apache Kafka", "Tansu"])
def kafka_bootstrap_servers(request: pytest.FixtureRequest) -> str:
    """The test runs twice: on real Kafka and on the embedded broker."""
    if request.param == "Tansu":
        server: BrokerServer = request.getfixturevalue("tansu_server")
        return server.bootstrap_servers
    servers: str = request.getfixturevalue("apache_kafka")
    return servers


@pytest.fixture
def topic_name() -> str:
    """A name that no other test uses."""
    return f"test-{uuid.uuid4().hex[:12]}"
