"""The command line as a person or a script uses it: a process, its exit code, its two streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120.0


def clean_environment() -> dict[str, str]:
    """This process' own, without what would lead to servers: the person's stack must not be touched by tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HEADRACE_", "PREFECT_", "AWS_"))}
    return kept | {"PYTHONPATH": str(ROOT), "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1,localhost"}


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
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            env=clean_environment() | dict(self.environment) | more,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        for secret in self.secrets:
            assert secret not in done.stdout + done.stderr, f"headrace {arguments[0]} gave a secret away"
        assert "Traceback" not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

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
