"""How commands find the stack that `headrace up` runs in this directory: `.headrace/environment`, lines a shell can read too.

    export HEADRACE_REDIS_URL=redis://127.0.0.1:6379/0

It is read where nothing else says where the servers are, and only while that stack runs.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path

DIRECTORY = Path(".headrace")
FILE_NAME = "environment"
LOCK_NAME = "stack.lock"

PLACES = ("HEADRACE_KAFKA_", "HEADRACE_REDIS_", "HEADRACE_S3_")
"""Variables that say where servers are: whoever sets one of them means other servers than this directory's."""

TAKEN = ("HEADRACE_", "PREFECT_")
TAKEN_WHOLE = frozenset({"NO_PROXY", "no_proxy", "DO_NOT_TRACK"})
"""What is taken from the file: it must not be able to set PATH or the like."""


def write_environment(directory: Path, environment: Mapping[str, str]) -> Path:
    """For this user's eyes only, whole or not at all: the file holds the stack's credentials."""
    path = directory / FILE_NAME
    partial = directory / f"{FILE_NAME}.{os.getpid()}"
    lines = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(environment.items()))
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(lines)
    partial.replace(path)
    return path


def remove_environment(directory: Path) -> None:
    (directory / FILE_NAME).unlink(missing_ok=True)


def servers_are_named() -> bool:
    """Whether the environment says where any server is."""
    return any(name.startswith(PLACES) for name in os.environ)


def use_running_stack(directory: Path = DIRECTORY) -> bool:
    """Take over the variables of the stack that runs here, unless the environment names servers already: whether it was done."""
    if servers_are_named() or not _is_running(directory):
        return False
    found = read_environment(directory)
    os.environ.update(found)
    return bool(found)


def read_environment(directory: Path) -> dict[str, str]:
    """Empty where there is no such file, or where others than this user could have written it."""
    path = directory / FILE_NAME
    try:
        with path.open(encoding="utf-8") as file:
            about = os.fstat(file.fileno())
            if about.st_uid != os.getuid() or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return {}
            lines = file.read().splitlines()
    except OSError:
        return {}
    return dict(filter(None, map(_assignment, lines)))


def _assignment(line: str) -> tuple[str, str] | None:
    words = shlex.split(line)
    if len(words) != 2 or words[0] != "export":
        return None
    name, _, value = words[1].partition("=")
    return (name, value) if name.startswith(TAKEN) or name in TAKEN_WHOLE else None


def _is_running(directory: Path) -> bool:
    """The stack holds an exclusive lock for as long as any of its processes lives; a file that a killed one left counts for nothing."""
    try:
        descriptor = os.open(directory / LOCK_NAME, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
