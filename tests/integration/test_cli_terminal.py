"""What a person at a terminal is asked: the command runs in a real one (a pty), and is answered by its keys."""

from __future__ import annotations

import os
import platform
import pty
import select
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from profile_store import registry
from tests.integration.command_line import CommandLine, clean_environment
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually
from tests.shop import customers, shop

SECONDS = 120.0
READ = {"x86_64": "0", "aarch64": "63"}.get(platform.machine())
"""The number of the system call `read` in Linux."""
QUESTION = "Go on? [y/N]:"
CTRL_C = "\x03"


@dataclass
class Installation:
    """Connection `crm` has goals `first` and `second`; its file has the first one alone."""

    real: Pipeline
    directory: Path

    def apply(self, keys: str) -> tuple[int, str]:
        """Exit code of `headrace apply`, and all that the terminal showed; `keys` are typed when it asks."""
        ours, its = pty.openpty()
        environment = clean_environment() | {name: value for name, value in self.real.environment().items() if name.startswith("HEADRACE_")}
        with subprocess.Popen(
            # A terminal of its own, so that Ctrl-C, which is a key, becomes a signal.
            ["setsid", "--ctty", "env", "--default-signal=INT", *CommandLine.command("apply", "crm.yaml")],
            cwd=self.directory,
            env=environment | {"TERM": "dumb", "COLUMNS": "200"},
            stdin=its,
            stdout=its,
            stderr=its,
        ) as process:
            os.close(its)
            try:
                shown = _shown(ours, until=QUESTION)
                assert process.poll() is None, "it waits for an answer"
                eventually(lambda: _reads_its_terminal(process.pid), within=SECONDS, what="it reads what is typed")
                os.write(ours, keys.encode())
                shown += _shown(ours)
                return process.wait(SECONDS), shown
            finally:
                process.kill()
                os.close(ours)

    def goals(self) -> list[str]:
        return [one.id for one in registry.get_connection(self.real.store, "crm").goals]


def _reads_its_terminal(process_id: int) -> bool:
    """Its main thread is in the system call in which it waits for a key: a Ctrl-C that comes between the question and that call would be noted, and
    heard only after the next key.

    True where a machine does not say.
    """
    calls = Path(f"/proc/{process_id}/syscall")
    if READ is None or not calls.exists():
        return True
    return calls.read_text().split()[:2] == [READ, "0x0"]


def _shown(terminal: int, until: str = "") -> str:
    """What is written to the terminal, up to a text, or to its end."""
    shown, ends = b"", time.monotonic() + SECONDS
    while not until or until.encode() not in shown:
        ready, _, _ = select.select([terminal], [], [], 1.0)
        if not ready:
            assert time.monotonic() < ends, f"nothing more within {SECONDS:.0f} s; it shows:\n{shown.decode()}"
            continue
        try:
            data = os.read(terminal, 4096)
        except OSError:  # how a pty ends on Linux
            break
        shown += data
    return shown.decode()


@pytest.fixture
def installation(valkey: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server, tmp_path: Path) -> Installation:
    real, domain = pipeline(valkey.url, tansu_server.bootstrap_servers, access_to(s3_server)), f"d{uuid.uuid4().hex[:10]}"
    goals = [{"kind": "import_profiles", "id": one, "name": one, **customers(domain)} for one in ("first", "second")]
    written = real.apply_goals(shop(domain), goals)
    kept = written.model_copy(update={"goals": written.goals[:1]})
    (tmp_path / "crm.yaml").write_text(yaml.safe_dump(kept.model_dump(mode="json", exclude_defaults=True)))
    return Installation(real, tmp_path)


@pytest.mark.spec("C3")
@pytest.mark.parametrize(
    ("keys", "code", "left", "said"),
    [
        ("\n", 1, ["first", "second"], "nothing was changed"),
        (CTRL_C, 1, ["first", "second"], "Aborted"),
        ("what\ny\n", 0, ["first"], "applied"),
    ],
    ids=["no", "Ctrl-C", "yes"],
)
def test_who_would_remove_a_goal_is_asked_first(installation: Installation, keys: str, code: int, left: list[str], said: str) -> None:
    found, shown = installation.apply(keys)
    assert "goal second: removed" in shown.partition(QUESTION)[0], "the plan comes before the question"
    assert (found, installation.goals()) == (code, left), shown
    assert said in shown
