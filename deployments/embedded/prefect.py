"""A Prefect server (SQLite) and a Prefect worker for one machine, with everything they write in the stack's own directory.

Measured on two cores (Prefect 3.8): the server is healthy after 5 to 17 s and takes 250 MB, a Prefect worker 120 MB.
"""

from __future__ import annotations

import json
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from deployments.embedded.processes import (
    LOOPBACK,
    ChildProcess,
    Probe,
    ProcessSpec,
    http_probe,
    program_environment,
)

SERVER_START_SECONDS = 120.0
WORKER_START_SECONDS = 90.0
WORK_POOL = "headrace"


@dataclass(frozen=True)
class PrefectServer:
    """A running server; `environment` is what its clients need: the Prefect worker, flows, the command line."""

    process: ChildProcess
    port: int
    home: Path

    @property
    def ui_url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return client_environment(self.port, self.home)

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def client_environment(port: int, home: Path) -> dict[str, str]:
    return {
        "PREFECT_API_URL": f"http://{LOOPBACK}:{port}/api",
        # Profiles, blocks and results of this stack alone: the user's own ~/.prefect may name another server, and its key.
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_LOGGING_COLORS": "false",
    }


def server_settings(port: int, home: Path) -> dict[str, str]:
    settings = client_environment(port, home) | {
        "PREFECT_SERVER_API_HOST": LOOPBACK,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / 'prefect.db'}",
        "PREFECT_UI_API_URL": f"http://{LOOPBACK}:{port}/api",
        # By default the built pages go into site-packages, where two stacks of one installation would overwrite each other's.
        "PREFECT_UI_STATIC_DIRECTORY": str(home / "ui"),
        "PREFECT_LOCAL_STORAGE_PATH": str(home / "storage"),
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    }
    del settings["PREFECT_API_URL"]  # the server would wait for itself
    return settings


def start_prefect_server(*, directory: Path, log_path: Path, port: int, held: tuple[int, ...] = ()) -> PrefectServer:
    """Start and wait until /api/health answers; ServerNotStartedError quotes its log."""
    home = directory.resolve()
    home.mkdir(parents=True, exist_ok=True)
    process = ChildProcess.start(
        ProcessSpec(
            name=f"Prefect server on port {port}",
            command=(sys.executable, "-m", "prefect", "server", "start", "--host", LOOPBACK, "--port", str(port), "--analytics-off"),
            environment=program_environment(server_settings(port, home)),
            directory=home,
            log_path=log_path,
            stop_seconds=10.0,
            held=held,
        )
    )
    process.wait_until_ready(http_probe(f"http://{LOOPBACK}:{port}/api/health"), seconds=SERVER_START_SECONDS)
    return PrefectServer(process, port, home)


def start_prefect_worker(
    *, environment: Mapping[str, str], directory: Path, log_path: Path, held: tuple[int, ...] = (), pool: str = WORK_POOL
) -> ChildProcess:
    """A process worker of `pool`; ready when the server knows it. `environment`: the whole stack's, its flows inherit it."""
    name = f"embedded-{secrets.token_hex(3)}"  # a worker of an earlier start may still count as online
    process = ChildProcess.start(
        ProcessSpec(
            name=f"Prefect worker of pool {pool}",
            command=(
                *(sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"),
                *("--name", name, "--install-policy", "never"),
            ),
            environment=program_environment(
                {
                    **environment,
                    "PREFECT_WORKER_QUERY_SECONDS": "2",  # one machine, one server: asking often costs nothing and starts runs sooner
                }
            ),
            directory=directory,
            log_path=log_path,
            stop_seconds=20.0,
            held=held,
        )
    )
    process.wait_until_ready(online_probe(environment["PREFECT_API_URL"], pool, name), seconds=WORKER_START_SECONDS)
    return process


def online_probe(api_url: str, pool: str, name: str) -> Probe:
    """Ready when the server has had a heartbeat of the worker of this name. Its own health check answers before the pool exists."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(  # noqa: S310 - the URL is the stack's own
        f"{api_url}/work_pools/{pool}/workers/filter", data=b"{}", headers={"Content-Type": "application/json"}
    )

    def probe() -> str | None:
        try:
            with opener.open(request, timeout=5) as answer:
                workers = {one["name"]: one["status"] for one in json.load(answer)}
        except (OSError, urllib.error.URLError) as error:
            return f"the server does not know pool {pool} ({error})"
        return None if workers.get(name) == "ONLINE" else f"the workers of pool {pool} are {workers or 'none'}"

    return probe
