"""Merge workers for one machine: `python -m streaming.worker`, ready when /health answers 200."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deployments.embedded.processes import LOOPBACK, ChildProcess, ProcessSpec, RunningServer, free_port, http_probe, program_environment

START_SECONDS = 60.0


@dataclass(frozen=True)
class MergeWorker(RunningServer):
    health_port: int

    @property
    def health_url(self) -> str:
        return f"http://{LOOPBACK}:{self.health_port}/health"


def start_merge_worker(
    *, name: str, environment: Mapping[str, str], directory: Path, log_path: Path, held: tuple[int, ...] = ()
) -> MergeWorker:
    """Start one and wait until it serves; ServerNotStartedError quotes its log. `environment`: all HEADRACE_* it needs."""
    port = free_port()
    whole = program_environment(
        {**environment, "HEADRACE_WORKER_HEALTH_HOST": LOOPBACK, "HEADRACE_WORKER_HEALTH_PORT": str(port), "PYTHONUNBUFFERED": "1"}
    )
    process = ChildProcess.start(
        ProcessSpec(
            name=name,
            command=(sys.executable, "-m", "streaming.worker"),
            environment=whole,
            directory=directory,
            log_path=log_path,
            # Longer than it may drain, else the drain would end in a SIGKILL.
            stop_seconds=float(whole.get("HEADRACE_WORKER_DRAIN_SECONDS", "30")) + 5,
            held=held,
        )
    )
    process.wait_until_ready(http_probe(f"http://{LOOPBACK}:{port}/health"), seconds=START_SECONDS)
    return MergeWorker(process, port)
