"""What an import is measured against, each on a Redis of its own with the settings that the import's has: the limit and the peer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import limit
from benchmarks.measure import cpu_seconds
from benchmarks.servers import used_memory
from deployments.embedded.processes import free_port
from deployments.embedded.valkey import ValkeyOptions, ValkeyServer, start_valkey


@dataclass(frozen=True)
class Contenders:
    """`limit`, `peer`: their servers."""

    limit: ValkeyServer
    peer: ValkeyServer
    scratch: Path

    def run_limit(self, source: Path) -> dict[str, Any]:
        commands = self.scratch / "commands"
        rows = limit.write_commands(source, commands)
        before = cpu_seconds(self.limit.process.pid)
        speed = limit.run(commands, rows, self.limit.url)
        commands.unlink()
        redis_us = (cpu_seconds(self.limit.process.pid) - before) / rows * 1e6
        memory = used_memory(self.limit.url)
        return {"rows_per_s": round(speed), "redis_cpu_us_per_row": round(redis_us, 2), "bytes_per_profile": round(memory / rows)}

    def run_peer(self, source: Path, rows: int) -> dict[str, Any]:
        """In a process of its own, as the yardstick has it."""
        before, own = cpu_seconds(self.peer.process.pid), os.times()
        command = [sys.executable, "-m", "benchmarks.peer", str(source), self.peer.url]
        speed = float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        now = os.times()
        redis_us = (cpu_seconds(self.peer.process.pid) - before) / rows * 1e6
        python_us = (now.children_user + now.children_system - own.children_user - own.children_system) / rows * 1e6
        return {"rows_per_s": round(speed), "redis_cpu_us_per_row": round(redis_us, 2), "python_cpu_us_per_row": round(python_us, 2)}


@contextmanager
def contenders(directory: Path) -> Iterator[Contenders]:
    with ExitStack() as stack:

        def start(name: str) -> ValkeyServer:
            return stack.enter_context(start_valkey(ValkeyOptions(directory / name, directory / f"{name}.log", free_port())))

        yield Contenders(start("limit"), start("peer"), directory)
