"""The API of a schedule, as a process that may be killed: the product's own, but for Prefect, which is asked by a line in a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headrace import failpoints
from headrace.cli import api
from headrace.cli.terminal import Form, Terminal
from headrace.errors import TransientError
from profile_store import sequence
from streaming.importing import drive
from tests.faults.flow import AGAIN, put

LAUNCHED = "launched.jsonl"


@dataclass(frozen=True)
class ApiOptions:
    """`directory`: where it notes what it wants to have started. `failpoint`: where it ends itself; '' for nowhere."""

    directory: str
    lease_seconds: int
    failpoint: str = ""


@dataclass(frozen=True)
class Launched:
    """A run that the API asked for. `key`: the same starts no second one."""

    deployment: str
    parameters: dict[str, Any]
    key: str


class NotedLaunches:
    """A launcher. One write for each line, so that those of several processes don't mix."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / LAUNCHED

    def start(self, deployment: str, parameters: dict[str, Any], key: str = "") -> str:
        with self._path.open("ab", buffering=0) as file:
            file.write(json.dumps(asdict(Launched(deployment, parameters, key))).encode() + b"\n")
        return key


def launched(directory: Path) -> list[Launched]:
    """Each key once."""
    path = directory / LAUNCHED
    found = [Launched(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []
    return list({one.key: one for one in found if one.key}.values())


def main(arguments: tuple[str, ...]) -> int:
    [written] = arguments
    options = ApiOptions(**json.loads(written))
    failpoints.arm(options.failpoint)
    for module in (sequence, drive):
        put(module, "LEASE_SECONDS", options.lease_seconds)
    make: Callable[[], NotedLaunches] = lambda: NotedLaunches(Path(options.directory))  # noqa: E731
    put(api, "PrefectLauncher", make)
    try:
        api.run_api(Terminal.of(Form.JSON))
    except TransientError as error:
        print(f"an outage: {error}", flush=True)
        return AGAIN
    return 0
