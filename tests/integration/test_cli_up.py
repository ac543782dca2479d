"""`headrace up`: one screen, commands that find it by themselves, and nothing left of it however it is stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headrace.cli.environment import read_environment
from tests.integration.command_line import CommandLine, Said
from tests.polling import eventually
from tests.servers.prefect_database import put_migrated_database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

START_SECONDS = 300.0
STOP_SECONDS = 120.0


def processes_in(directory: Path) -> dict[int, str]:
    """Every process that works in a stack's directory or below it, as its servers do: process id → command line."""
    found = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                if (process / "cwd").readlink().is_relative_to(directory / ".headrace"):
                    found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue  # it has just ended, or is not ours to look at
    return found


@contextmanager
def up(headrace: CommandLine, *options: str) -> Iterator[subprocess.Popen[str]]:
    put_migrated_database(headrace.directory / ".headrace" / "prefect")
    running = headrace.start("up", "--merge-workers", "1", *options)
    try:
        yield running
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()
        for stream in (running.stdout, running.stderr):
            assert stream is not None
            stream.close()


def is_up(headrace: CommandLine, running: subprocess.Popen[str]) -> None:
    def look() -> bool:
        assert running.poll() is None, "headrace up ended"
        return bool(read_environment(headrace.directory / ".headrace"))

    eventually(look, within=START_SECONDS, what="headrace up has written its environment")


def read_screen(running: subprocess.Popen[str]) -> str:
    """What it prints once all of it runs, to the last line. A person reads this before pressing Ctrl-C; the environment file is there a moment earlier."""
    assert running.stdout is not None
    lines = []
    for line in running.stdout:
        lines.append(line)
        if "Ctrl-C stops all of it" in line:
            return "".join(lines)
    raise AssertionError("headrace up ended before it was up")


def stopped(headrace: CommandLine, running: subprocess.Popen[str]) -> Said:
    out, err = running.communicate(timeout=STOP_SECONDS)
    assert processes_in(headrace.directory) == {}, err
    assert not (headrace.directory / ".headrace" / "environment").exists()
    return Said(running.returncode, out, err)


def test_up_is_found_by_other_commands_and_ctrl_c_again_and_again_leaves_nothing(tmp_path: Path) -> None:
    headrace = CommandLine(tmp_path)
    with up(headrace) as running:
        screen = read_screen(running)
        assert len(processes_in(tmp_path)) >= 6
        second = headrace("up", "--json")
        assert (second.code, second.error["code"]) == (1, "SERVER_NOT_STARTED")
        assert headrace("runs").out == "no runs yet\n", "the one that was refused took nothing away"
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            running.send_signal(number)
        said = stopped(headrace, running)
    assert said.code == 0
    assert "Headrace is up" in screen
    assert "everything is stopped" in said.err


def test_sigterm_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    headrace = CommandLine(tmp_path)
    with up(headrace) as running:
        eventually(lambda: processes_in(tmp_path) or None, within=START_SECONDS, what="the first server starts")
        running.send_signal(signal.SIGTERM)
        said = stopped(headrace, running)
    assert said.code == 0
    assert "Headrace is up" not in said.out


def test_a_server_that_ends_by_itself_ends_it_all_with_its_log(tmp_path: Path) -> None:
    headrace = CommandLine(tmp_path)
    with up(headrace, "--json") as running:
        is_up(headrace, running)
        assert headrace("runs").code == 0
        # Not its keeper, which names it in the middle of its own command line.
        valkey = next(number for number, command in processes_in(tmp_path).items() if "valkey-server" in command.split()[0])
        os.kill(valkey, signal.SIGKILL)
        out, err = running.communicate(timeout=STOP_SECONDS)
    assert running.returncode == 1
    assert processes_in(tmp_path) == {}
    assert "SERVER_ENDED" in err
    assert "Valkey" in err
    started = json.loads(out.partition("}\n{")[0] + "}")
    assert started["environment"] == str(tmp_path / ".headrace" / "environment")
    assert set(started["addresses"]) >= {"Prefect", "S3", "Kafka", "Valkey", "API", "Merge workers", "Logs"}
