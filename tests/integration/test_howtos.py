"""docs/howto/ and docs/segments.md: every file is written, every command run, and what a document says is printed is printed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.command_line import ROOT, CommandLine, clean_environment
from tests.integration.prefect_api import PrefectApi
from tests.integration.test_cli_up import is_up, stopped, up

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HOWTOS = sorted(path for path in (ROOT / "docs" / "howto").glob("*.md") if path.name != "README.md")
EXECUTED = [*HOWTOS, ROOT / "docs" / "segments.md"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SECONDS = 600
IN_PREFECT = ("first-import", "schedules", "secrets")
"""These go through Prefect, as they would anywhere; the others' commands do their work in their own process, which takes a fifth of the time."""


@dataclass(frozen=True)
class Block:
    """`kind`: yaml and csv are files, whose first line is a comment with their name; sh is run; text stands in the output of the sh before it."""

    kind: str
    text: str


def blocks(path: Path) -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(path.read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where `headrace up` runs, with the documents beside it as in a clone."""
    here = tmp_path_factory.mktemp("howto")
    (here / "docs").symlink_to(ROOT / "docs")
    headrace = CommandLine(here)
    with up(headrace, "--json") as running:
        is_up(headrace, running)
        no_ticks(here)
        yield here
        running.send_signal(signal.SIGINT)
        said = stopped(headrace, running)
    assert said.code == 0
    assert said.document["environment"] == str(here / ".headrace" / "environment")


def no_ticks(directory: Path) -> None:
    """What builds segments every five minutes would now and then build one before a document's own command does."""
    found = re.search(r"PREFECT_API_URL=['\"]?([^'\"\n]+)", (directory / ".headrace" / "environment").read_text())
    assert found is not None
    prefect = PrefectApi(found[1])
    building = prefect.deployment("materialize-segments/all-domains")
    for schedule in building["schedules"]:
        prefect.patch(f"/deployments/{building['id']}/schedules/{schedule['id']}", active=False)
    assert not any(one["active"] for one in prefect.deployment("materialize-segments/all-domains")["schedules"])


def run(directory: Path, script: str, before: str) -> str:
    """Its output, both streams; it must end well, each line of it. `before`: what the shell does first."""
    environment = clean_environment()
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    environment["COLUMNS"] = "200"
    done = subprocess.run(
        ["bash", "-c", f"set -eu\nsource .headrace/environment\n{before}\n{strict(script)}"],
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{script}\nended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def strict(script: str) -> str:
    """`! command` is a command that must fail: bash by itself would not mind if it did not."""
    return re.sub(r"^! (.+)$", r"if \1; then exit 1; fi", script, flags=re.MULTILINE)


@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: path.stem)
def test_a_document_does_what_it_says(path: Path, directory: Path) -> None:
    printed, ran, before = "", 0, "" if path.stem in IN_PREFECT else "unset PREFECT_API_URL"
    for block in blocks(path):
        if block.kind in ("yaml", "csv"):
            name, _, content = block.text.partition("\n")
            (directory / name.removeprefix("# ")).write_text(content)
        elif block.kind == "sh":
            printed, ran = run(directory, block.text, before), ran + 1
        else:
            assert block.kind == "text", f"what is a block of {block.kind}?"
            missing = [line for line in block.text.splitlines() if line.strip() not in printed]
            assert not missing, f"{missing} is not in\n{printed}"
    assert ran > 0


def test_the_list_is_whole() -> None:
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", (ROOT / "docs" / "howto" / "README.md").read_text()))
    assert listed == {path.name for path in HOWTOS}
