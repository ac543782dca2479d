"""The command line as a person or a script uses it: a process, its exit code, its two streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.faults.nursery import Nursery
from tests.polling import eventually

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120.0


def clean_environment() -> dict[str, str]:
    """This process' own, without what would lead to servers: the person's stack must not be touched by tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HEADRACE_", "PREFECT_", "AWS_"))}
    return kept | {"PYTHONPATH": str(ROOT), "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1,localhost"}


@cache
def nursery() -> Nursery:
    """Of this run's commands: they are forked, since half the second that each takes is imports. It ends with this process."""
    log = Path(tempfile.mkdtemp(prefix="headrace-commands-")) / "nursery.log"
    return Nursery(log, ("tests.run_command",)).__enter__()


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """All of stdout, which must be one JSON document."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.document["error"]
        return found


@dataclass(frozen=True)
class CommandLine:
    """`secrets` must never come out, whatever is called: every call is checked."""

    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()

    def __call__(self, *arguments: str | Path, **more: str) -> Said:
        with tempfile.TemporaryDirectory(prefix="headrace-command-") as place:
            out, err = Path(place) / "out", Path(place) / "err"
            environment = clean_environment() | dict(self.environment) | more
            words = [str(self.directory), *map(str, arguments)]
            running = nursery().start("tests.run_command", words, environment, out, apart=err)
            try:
                code = eventually(running.poll, within=SECONDS, what=f"headrace {arguments[0] if arguments else ''} has ended")
            finally:
                running.kill()
            said = Said(code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))
        for secret in self.secrets:
            assert secret not in said.out + said.err, f"headrace {arguments[0]} gave a secret away"
        assert "Traceback" not in said.err, said.err
        return said

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """For commands that stay: stdout and stderr are pipes."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.directory,
            env=clean_environment() | dict(self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @staticmethod
    def command(*arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "headrace", *map(str, arguments)]
