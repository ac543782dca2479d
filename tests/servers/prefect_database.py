"""A Prefect database with all migrations done. They are a third of what the first start of a Prefect server takes, and the suite has a dozen of those."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from deployments.embedded.prefect import server_settings
from deployments.embedded.processes import free_port, program_environment

CACHE = Path(__file__).resolve().parents[2] / ".pytest_cache"
SECONDS = 300


def put_migrated_database(home: Path) -> None:
    """Into the directory of a Prefect server that never ran; made once for all runs of the suite with this version of Prefect."""
    CACHE.mkdir(exist_ok=True)
    made = CACHE / f"prefect-{version('prefect')}.db"
    with (CACHE / "prefect.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _migrate(made)
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(made, home / "prefect.db")


def _migrate(made: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="headrace-prefect-") as directory:
        environment = program_environment(server_settings(free_port(), Path(directory)))
        command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
        subprocess.run(command, env=environment, cwd=directory, check=True, capture_output=True, timeout=SECONDS)
        partial = made.with_suffix(".new")
        shutil.copyfile(Path(directory) / "prefect.db", partial)
        partial.replace(made)
