"""Headrace on one machine: every server, the Prefect worker and two merge workers, under one directory. Never production.

    with EmbeddedStack(StackOptions()) as stack:
        os.environ.update(stack.environment())

Two stacks on one machine do not meet: ports are free ones unless asked for, everything written is below the stack's directory, and a
directory has one stack at a time (a lock, held until the last of its processes is gone, even when we were killed -9).
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from deployments.embedded import s3
from deployments.embedded.api import ACCESS_KEY_ID, ApiServer, api_access, make_uploads_bucket, start_api
from deployments.embedded.broker import BrokerServer, start_broker
from deployments.embedded.directory import kept_secret, lock_directory
from deployments.embedded.merge_worker import MergeWorker, start_merge_worker
from deployments.embedded.prefect import PrefectServer, start_prefect_server, start_prefect_worker
from deployments.embedded.processes import (
    LOOPBACK,
    ChildProcess,
    ServerNotStartedError,
    free_port,
    port_is_free,
    program_environment,
    stop_children_below,
)
from deployments.embedded.valkey import Fsync, ValkeyOptions, ValkeyServer, start_valkey

PROJECT = Path(__file__).resolve().parents[2]
BOOTSTRAP_SECONDS = 120

Hook = Callable[[Mapping[str, str]], None]
"""Called with the stack's environment when the servers answer, before any worker starts."""

Report = Callable[[str], None]
"""Called with a line for the person who waits."""


@dataclass(frozen=True)
class Ports:
    """None: a free one."""

    valkey: int | None = None
    kafka: int | None = None
    s3: int | None = None
    prefect: int | None = None
    api: int | None = None


@dataclass(frozen=True)
class StackOptions:
    """What to start and where. `apis`: 0, or 1 for the HTTP API too. `extra` goes into every program's environment and wins over what the stack sets."""

    directory: Path = Path(".headrace")
    ports: Ports = field(default_factory=Ports)
    merge_workers: int = 2
    apis: int = 0
    fsync: Fsync = "always"
    bootstrap: Hook | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    report: Report = lambda _line: None


class Stoppable(Protocol):
    def stop(self) -> None: ...


Started = TypeVar("Started", bound=Stoppable)


@dataclass(frozen=True)
class Servers:
    """The four servers, all of them ready."""

    valkey: ValkeyServer
    broker: BrokerServer
    s3: s3.S3Server
    prefect: PrefectServer


class EmbeddedStack:
    """Starts on entry, stops on exit. Nothing of it outlives this process, however that ends."""

    def __init__(self, options: StackOptions) -> None:
        self.options = options
        self.directory = options.directory.resolve()
        self.merge_workers: list[MergeWorker] = []
        self.prefect_worker: ChildProcess | None = None
        self.api: ApiServer | None = None
        self._servers: Servers | None = None
        self._started: list[Stoppable] = []
        self._lock: int | None = None
        self._stopping = threading.Event()

    @property
    def servers(self) -> Servers:
        if self._servers is None:
            raise RuntimeError("the embedded stack is not running: call start(), or use it as a context manager")
        return self._servers

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    def start(self) -> None:
        """Servers in parallel, the bootstrap hook, then the workers. When one does not start, all that did are stopped."""
        self._stopping.clear()
        self._lock = lock_directory(self.directory)
        try:
            self._servers = self._start_servers()
            if self.options.bootstrap is not None:
                self.options.report("preparing Prefect")
                self.options.bootstrap(self.environment())
            self._start_workers()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Workers first, so that none complains of a missing server. A second call does nothing."""
        self._stopping.set()
        workers: list[Stoppable] = [*self.merge_workers, *(one for one in (self.prefect_worker, self.api) if one is not None)]
        # Whatever goes wrong with one: the others are stopped all the same.
        with ExitStack() as rest:
            rest.callback(stop_children_below, self.directory)
            rest.callback(stop_all, [one for one in self._started if one not in workers])
            rest.callback(stop_all, workers)
        self._started.clear()
        self.merge_workers = []
        self.prefect_worker = None
        self.api = None
        self._servers = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def start_merge_worker(self) -> MergeWorker:
        """One more; numbered on from those there are."""
        number = len(self.merge_workers) + 1
        worker = self._started_by(
            lambda: start_merge_worker(
                name=f"merge worker {number}",
                environment=self.environment(),
                directory=self.directory,
                log_path=self.logs / f"merge-worker-{number}.log",
                held=self._held,
            )
        )
        self.merge_workers.append(worker)
        return worker

    def environment(self) -> dict[str, str]:
        """Every HEADRACE_* and PREFECT_* variable that a program needs to work with this stack."""
        servers = self.servers
        return {
            **servers.prefect.environment,
            "HEADRACE_KAFKA_BOOTSTRAP_SERVERS": servers.broker.bootstrap_servers,
            "HEADRACE_KAFKA_SESSION_TIMEOUT_MS": "6000",
            "HEADRACE_KAFKA_REPLICATION_FACTOR": "1",
            "HEADRACE_REDIS_URL": servers.valkey.url,
            "HEADRACE_REDIS_CLUSTER": "false",
            "HEADRACE_REDIS_DURABILITY": "waitaof",
            "HEADRACE_S3_ENDPOINT_URL": servers.s3.endpoint_url,
            "HEADRACE_S3_REGION": s3.REGION,
            "HEADRACE_S3_ACCESS_KEY_ID": s3.ACCESS_KEY_ID,
            "HEADRACE_S3_SECRET_ACCESS_KEY": s3.SECRET_ACCESS_KEY,
            "HEADRACE_ADDRESS_SECRET": kept_secret(self.directory / "address-secret"),
            **api_access(self.directory / "api").environment(),
            # A proxy that the user's environment names would be asked for 127.0.0.1 too.
            "NO_PROXY": no_proxy(),
            "no_proxy": no_proxy(),
            **self.options.extra,
        }

    @property
    def addresses(self) -> dict[str, str]:
        """What to show a person: one line each."""
        servers = self.servers
        return {
            "Prefect": servers.prefect.ui_url,
            "S3": f"{servers.s3.endpoint_url} (access key {s3.ACCESS_KEY_ID}, secret {s3.SECRET_ACCESS_KEY}; test credentials)",
            "Kafka": servers.broker.bootstrap_servers,
            "Valkey": servers.valkey.url,
            **self._api_address(),
            "Merge workers": ", ".join(worker.health_url for worker in self.merge_workers) or "none",
            "Logs": str(self.logs),
        }

    def ended(self) -> list[ChildProcess]:
        """Processes that ended by themselves: for whoever watches the stack in the foreground."""
        servers = self.servers
        processes = [servers.valkey.process, servers.broker.process, servers.s3.process, servers.prefect.process]
        processes += [worker.process for worker in self.merge_workers]
        processes += [self.prefect_worker] if self.prefect_worker else []
        processes += [self.api.process] if self.api else []
        return [process for process in processes if not process.running]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _api_address(self) -> dict[str, str]:
        if self.api is None:
            return {}
        secret = api_access(self.directory / "api").secret
        return {"API": f"{self.api.url} (access key {ACCESS_KEY_ID}, secret {secret}; of this stack alone)"}

    @property
    def _held(self) -> tuple[int, ...]:
        return () if self._lock is None else (self._lock,)

    def _start_servers(self) -> Servers:
        ports, root, logs, held = self.options.ports, self.directory, self.logs, self._held
        options = ValkeyOptions(
            data_directory=root / "valkey",
            log_path=logs / "valkey.log",
            port=port_for("Valkey", ports.valkey),
            fsync=self.options.fsync,
            held=held,
        )
        kafka, store, prefect = port_for("Kafka", ports.kafka), port_for("S3", ports.s3), port_for("Prefect", ports.prefect)
        self.options.report("starting Valkey, Kafka, S3 and the Prefect server")
        with ThreadPoolExecutor(max_workers=4) as pool:
            futures = (
                pool.submit(self._started_by, lambda: start_valkey(options)),
                pool.submit(
                    self._started_by, lambda: start_broker(directory=root / "kafka", log_path=logs / "kafka.log", port=kafka, held=held)
                ),
                pool.submit(self._started_by, lambda: s3.start_s3(directory=root / "s3", log_path=logs / "s3.log", port=store, held=held)),
                pool.submit(
                    self._started_by,
                    lambda: start_prefect_server(directory=root / "prefect", log_path=logs / "prefect-server.log", port=prefect, held=held),
                ),
            )
            pending: list[Future[Any]] = [*futures]
            try:
                wait(pending)
            except BaseException:
                # Ctrl-C: nobody wants to wait until all of it is up, to see it go down again.
                self._stopping.set()
                while wait(pending, timeout=0.1).not_done:
                    stop_children_below(self.directory)
                raise
        return Servers(futures[0].result(), futures[1].result(), futures[2].result(), futures[3].result())

    def _started_by(self, start: Callable[[], Started]) -> Started:
        """Noted at once: what did start is stopped even when another did not, or a person pressed Ctrl-C meanwhile."""
        if self._stopping.is_set():
            raise ServerNotStartedError("the embedded stack was stopped while it started.")
        server = start()
        self._started.append(server)
        return server

    def _start_workers(self) -> None:
        self.options.report(
            "starting the Prefect worker, the merge workers and the API"
            if self.options.apis
            else "starting the Prefect worker and the merge workers"
        )
        self.prefect_worker = self._started_by(
            lambda: start_prefect_worker(
                environment=self.environment(), directory=self.directory, log_path=self.logs / "prefect-worker.log", held=self._held
            )
        )
        for _ in range(self.options.merge_workers):
            self.start_merge_worker()
        if self.options.apis:
            make_uploads_bucket(self.environment())
            port = port_for("API", self.options.ports.api)
            self.api = self._started_by(
                lambda: start_api(
                    environment=self.environment(), directory=self.directory, log_path=self.logs / "api.log", port=port, held=self._held
                )
            )


def stop_all(started: list[Stoppable]) -> None:
    """At the same time: each may take its own while."""
    if started:
        with ThreadPoolExecutor(max_workers=len(started)) as pool:
            for future in [pool.submit(one.stop) for one in started]:
                future.result()


def port_for(server: str, wanted: int | None) -> int:
    """The port asked for, refused with words when somebody has it; a free one when none was."""
    if wanted is None:
        return free_port()
    if not port_is_free(wanted):
        raise ServerNotStartedError(
            f"{server}: port {wanted} on {LOOPBACK} is in use.", hint="Stop what uses it, or leave the port out to get a free one."
        )
    return wanted


def no_proxy() -> str:
    others = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    return ",".join(dict.fromkeys([*(name for name in others.split(",") if name), LOOPBACK, "localhost"]))


def bootstrap_in_a_process(environment: Mapping[str, str]) -> None:
    """A hook: `deployments.bootstrap.bootstrap()` in a process of its own.

    Prefect reads its settings once, at import: in ours it may have been imported with other ones.
    """
    done = subprocess.run(
        [sys.executable, "-c", "from deployments.bootstrap import bootstrap; bootstrap()"],
        cwd=PROJECT,
        env=program_environment(environment),
        capture_output=True,
        text=True,
        timeout=BOOTSTRAP_SECONDS,
        check=False,
    )
    if done.returncode:
        raise ServerNotStartedError(
            f"the work pool and the deployments could not be set up in Prefect: {(done.stdout + done.stderr).strip()[-2000:]}",
            hint="The log of the Prefect server may say more.",
        )
