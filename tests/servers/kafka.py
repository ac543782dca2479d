"""Real Apache Kafka for the suite: one broker in KRaft mode, from Maven's jars on this machine, or in a container.

`find_kafka()` says which of the two there is, or why there is none: a value, so that a test can say it aloud and the summary can too.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deployments.embedded.processes import LOOPBACK, ChildProcess, ProcessSpec, free_port, log_tail, server_environment, tcp_probe

PROJECT = Path(__file__).resolve().parents[2]
POM = PROJECT / "deployments" / "kafka" / "pom.xml"
JARS = POM.parent / "lib"
HEAP = ("-Xmx512m", "-Xms256m")
COMPILER = "-XX:TieredStopAtLevel=1"
"""No optimising compiler: a broker lives for minutes here, and its start takes 3.7 s of CPU instead of 6.2."""
START_SECONDS = 90.0
FETCH_SECONDS = 300
NEEDED_JAVA = 17


@dataclass(frozen=True)
class KafkaJars:
    """Kafka can run here as a process of ours."""

    java: str
    classpath: str
    version: str


@dataclass(frozen=True)
class KafkaImage:
    """No jars, but a Docker engine answers."""

    image: str
    version: str


@dataclass(frozen=True)
class NoKafka:
    """Real Kafka can't run here, and why."""

    reason: str


def pinned_version() -> str:
    found = re.search(r"<kafka\.version>(.+?)</kafka\.version>", POM.read_text())
    if found is None:
        raise ValueError(f"{POM} has no <kafka.version>; it says which Kafka the suite runs")
    return found[1]


def java_release(java: str) -> int | None:
    """The major version of a java executable; None when it can't be asked."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(\d+)', answer)
    return int(found[1]) if found else None


def fetch_jars() -> str | None:
    """Copy the pinned jars to deployments/kafka/lib; None when they are there, otherwise why not."""
    if (JARS / f"kafka_2.13-{pinned_version()}.jar").exists():
        return None
    maven = shutil.which("mvn")
    if maven is None:
        return f"{JARS} is empty and there is no mvn to fill it"
    # Into a directory of its own, then renamed: a run that is interrupted, or another at the same time, leaves no half of the jars behind.
    incoming = PROJECT / ".headrace" / f"kafka-jars-{uuid.uuid4().hex[:8]}"
    command = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={incoming}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
        if done.returncode:
            return f"mvn could not fetch the jars: {(done.stdout + done.stderr).strip()[-500:]}"
        shutil.rmtree(JARS, ignore_errors=True)
        try:
            incoming.rename(JARS)
        except OSError:
            if not (JARS / f"kafka_2.13-{pinned_version()}.jar").exists():
                raise
    except subprocess.TimeoutExpired:
        return f"mvn did not fetch the jars within {FETCH_SECONDS} s"
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return None


def docker_answers() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        return subprocess.run([docker, "info"], capture_output=True, timeout=20, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def find_kafka() -> KafkaJars | KafkaImage | NoKafka:
    """How real Kafka can run here: jars first (they can be killed -9 and restarted on the same data), else a container."""
    java = shutil.which("java")
    release = java_release(java) if java else None
    if java is None:
        missing = "there is no java"
    elif release is None or release < NEEDED_JAVA:
        missing = f"{java} is release {release or 'unknown'}, Kafka {pinned_version()} needs {NEEDED_JAVA}"
    else:
        missing = fetch_jars() or ""
        if not missing:
            return KafkaJars(java, str(JARS / "*"), pinned_version())
    if docker_answers():
        return KafkaImage(f"apache/kafka:{pinned_version()}", pinned_version())
    return NoKafka(f"{missing}, and no Docker engine answers")


class KafkaBroker:
    """A broker from jars, in a directory of its own: it can be killed, and started again on the same data and port."""

    def __init__(self, jars: KafkaJars, directory: Path) -> None:
        self.jars = jars
        self.directory = directory
        self.port = free_port()
        self.process: ChildProcess | None = None
        self._properties = directory / "server.properties"

    @property
    def bootstrap_servers(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def log_path(self) -> Path:
        return self.directory / "kafka.log"

    def format(self) -> None:
        """Write the configuration and an empty log; once in a directory's life."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in self.settings().items()))
        cluster = uuid.uuid4().hex[:22]
        command = (*self._java(), "kafka.tools.StorageTool", "format", "--standalone", "-t", cluster, "-c", str(self._properties))
        done = subprocess.run([*command, *self.format_options()], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"Kafka's StorageTool could not format {self.directory}: {(done.stdout + done.stderr)[-2000:]}")

    def format_options(self) -> tuple[str, ...]:
        """More of StorageTool's, like users."""
        return ()

    def settings(self) -> dict[str, str]:
        """What server.properties says."""
        controller = free_port()
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{controller}",
            "listeners": f"PLAINTEXT://{LOOPBACK}:{self.port},CONTROLLER://{LOOPBACK}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{self.port},CONTROLLER://{LOOPBACK}:{controller}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self.directory / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            # A broker that was killed may register again only when its old session has run out: 9 s by default.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            # By default its controller writes twice a second, to itself, that nothing has happened: half of what an idle broker costs.
            "metadata.max.idle.interval.ms": "10000",
            "auto.create.topics.enable": "false",
            "num.network.threads": "2",
            "num.io.threads": "4",
            "log.cleaner.dedupe.buffer.size": str(16 << 20),
        }

    def start(self) -> None:
        """Start, or start again; returns when clients can connect."""
        process = ChildProcess.start(
            ProcessSpec(
                name=f"Apache Kafka {self.jars.version} on port {self.port}",
                command=(*self._java(), "kafka.Kafka", str(self._properties)),
                environment=server_environment(),
                directory=self.directory,
                log_path=self.log_path,
                stop_seconds=20.0,
            )
        )
        # The broker opens its port only when it is registered and unfenced.
        process.wait_until_ready(tcp_probe(self.port), seconds=START_SECONDS)
        self.process = process

    def kill(self) -> None:
        """kill -9: nothing is flushed, no member is told."""
        if self.process is not None:
            self.process.kill()

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()

    def log_tail(self) -> str:
        return log_tail(self.log_path)

    def _java(self) -> tuple[str, ...]:
        return (
            self.jars.java,
            *HEAP,
            COMPILER,
            "-XX:+UseSerialGC",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp",
            self.jars.classpath,
        )


@contextmanager
def run_image(kafka: KafkaImage) -> Iterator[str]:
    """A broker in a container; yields its bootstrap servers."""
    from testcontainers.kafka import KafkaContainer

    with KafkaContainer(kafka.image).with_kraft() as container:
        yield container.get_bootstrap_server()
