"""Where the demo plays: its stack, its console, and the commands that it runs as a person would."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from deployments.embedded import s3
from deployments.embedded.processes import program_environment
from deployments.embedded.stack import PROJECT, EmbeddedStack
from headrace.errors import TerminalError
from headrace.settings import RedisSettings
from object_store.access import S3Access, connect
from object_store.store import ObjectStore
from profile_store.store import Store


@dataclass(frozen=True)
class Stage:
    console: Console
    stack: EmbeddedStack

    def title(self, text: str) -> None:
        self.console.print()
        self.console.print(Text(text, style="bold cyan"))

    def tell(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)

    def command(self, *arguments: str) -> None:
        """Run a headrace command and let it speak for itself. Raises TerminalError unless it did what was asked."""
        self.console.print(Text(f"$ headrace {' '.join(arguments)}", style="bold"))
        sys.stdout.flush()
        environment = program_environment(self.stack.environment()) | {"PYTHONPATH": str(PROJECT)}
        child = subprocess.Popen([sys.executable, "-m", "headrace", *arguments], cwd=PROJECT, env=environment)
        try:
            code = child.wait()
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
        if code != 0:
            raise TerminalError(
                f"`headrace {arguments[0]}` ended with exit code {code}.", code="DEMO_FAILED", hint="What it said stands above."
            )

    @contextmanager
    def store(self) -> Iterator[Store]:
        store = Store(RedisSettings.model_validate({"url": self.stack.servers.valkey.url}))
        try:
            yield store
        finally:
            store.close()

    def make_bucket(self, name: str) -> None:
        connect(self._access).create_bucket(Bucket=name)

    def upload(self, path: Path, bucket: str, key: str) -> None:
        self.tell(f"{path.name} ({path.stat().st_size:,} bytes) → s3://{bucket}/{key}")
        with ObjectStore(self._access).open_write(bucket, key) as out:
            out.write(path.read_bytes())

    def first_lines(self, bucket: str, key: str, most: int) -> list[str]:
        objects = ObjectStore(self._access)
        with objects.open(objects.head(bucket, key)) as stream:
            return stream.readall().decode().splitlines()[:most]

    def show_lines(self, lines: Sequence[str]) -> None:
        for number, line in enumerate(lines, start=1):
            self.console.print(Text(f"  {number:>2}  {line}", style="dim"))

    @property
    def _access(self) -> S3Access:
        return S3Access(self.stack.servers.s3.endpoint_url, s3.REGION, s3.ACCESS_KEY_ID, s3.SECRET_ACCESS_KEY)
