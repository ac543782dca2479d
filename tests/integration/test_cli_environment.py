"""How commands find the stack of `headrace up`: only while it runs, only its own variables, only from a file that nobody else can write."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.cli.environment import FILE_NAME, LOCK_NAME, read_environment, remove_environment, use_running_stack, write_environment

STACK = {
    "HEADRACE_REDIS_URL": "redis://127.0.0.1:1/0",
    "HEADRACE_ADDRESS_SECRET": "it's a 'secret' $HOME",
    "PREFECT_API_URL": "http://127.0.0.1:2/api",
}


@pytest.fixture
def no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith(("HEADRACE_", "PREFECT_")):
            monkeypatch.delenv(name)
    for name in STACK:
        monkeypatch.setenv(name, "")  # so that what a test sets is undone
        monkeypatch.delenv(name)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """A directory that is locked, as by a stack's processes."""
    descriptor = os.open(tmp_path / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield tmp_path
    os.close(descriptor)


def test_what_is_written_is_read_again_by_us_and_by_a_shell(tmp_path: Path) -> None:
    path = write_environment(tmp_path, STACK)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_environment(tmp_path) == STACK
    shell = os.popen(f'. "{path}"; printf %s "$HEADRACE_ADDRESS_SECRET"').read()
    assert shell == STACK["HEADRACE_ADDRESS_SECRET"]
    remove_environment(tmp_path)
    assert read_environment(tmp_path) == {}


@pytest.mark.usefixtures("no_servers")
def test_a_running_stack_is_used(running: Path) -> None:
    write_environment(running, STACK)
    assert use_running_stack(running)
    assert {name: os.environ[name] for name in STACK} == STACK


@pytest.mark.usefixtures("no_servers")
def test_a_stack_that_was_killed_is_not_used(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).touch()
    write_environment(tmp_path, STACK)
    assert not use_running_stack(tmp_path)
    assert "HEADRACE_REDIS_URL" not in os.environ


@pytest.mark.usefixtures("no_servers")
def test_who_names_a_server_means_that_one(running: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_environment(running, STACK)
    monkeypatch.setenv("HEADRACE_KAFKA_BOOTSTRAP_SERVERS", "kafka.example.com:9092")
    assert not use_running_stack(running)
    assert "HEADRACE_REDIS_URL" not in os.environ


def test_a_file_that_others_can_write_is_not_read(tmp_path: Path) -> None:
    write_environment(tmp_path, STACK).chmod(0o622)
    assert read_environment(tmp_path) == {}


def test_only_variables_of_the_stack_are_taken(tmp_path: Path) -> None:
    write_environment(tmp_path, STACK | {"PATH": "/evil", "LD_PRELOAD": "/evil.so"})
    with (tmp_path / FILE_NAME).open("a") as file:
        file.write("rm -rf /\nexport HEADRACE_S3_REGION=x y\n")
    assert read_environment(tmp_path) == STACK
