"""What a stack keeps in its directory: the lock, and secrets that are made once."""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path

from deployments.embedded.processes import ServerNotStartedError, wait_until

LOCK_SECONDS = 5.0


def lock_directory(directory: Path, seconds: float = LOCK_SECONDS) -> int:
    """An open descriptor that holds the directory's lock. Every keeper inherits it, so the lock ends with the last process of the stack."""
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory / "stack.lock", os.O_RDWR | os.O_CREAT, 0o600)

    def take() -> str | None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return f"process {os.pread(descriptor, 32, 0).decode() or 'unknown'} holds it"
        return None

    try:
        # A stack that was killed a moment ago lets go as soon as its processes are gone.
        wait_until("the directory is free", take, seconds=seconds)
    except TimeoutError as error:
        os.close(descriptor)
        raise ServerNotStartedError(
            f"another embedded stack runs in {directory} ({error}).", hint="Stop it, or give this one another directory."
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def kept_secret(path: Path) -> str:
    """64 hex characters, for this user's eyes only. The same ever after: what is in Valkey was made with it."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    return path.read_text()
