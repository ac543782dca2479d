"""What a Prefect server keeps, as its first start leaves it: a database with all migrations done and all block types registered.

Those are a half of what a first start takes, and the suite has a dozen of them.
"""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
import tempfile
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from deployments.embedded.prefect import start_prefect_server
from deployments.embedded.processes import free_port

CACHE = Path(__file__).resolve().parents[2] / ".pytest_cache"
DATABASE = "prefect.db"
REGISTERED = "memo_store.toml"
"""Which block types the database has: the server does not register them again."""


def put_migrated_database(home: Path) -> None:
    """Into the directory of a Prefect server that never ran; made once for all runs of the suite with this version of Prefect."""
    CACHE.mkdir(exist_ok=True)
    made = CACHE / f"prefect-{version('prefect')}"
    with (CACHE / "prefect.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _start_once(made)
    home.mkdir(parents=True, exist_ok=True)
    for name in (DATABASE, REGISTERED):
        shutil.copyfile(made / name, home / name)


def _start_once(made: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="headrace-prefect-") as directory:
        home = Path(directory)
        start_prefect_server(directory=home, log_path=home / "prefect-server.log", port=free_port()).stop()
        partial = made.with_suffix(".new")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        shutil.copyfile(home / REGISTERED, partial / REGISTERED)
        with closing(sqlite3.connect(home / DATABASE)) as database:  # a copy of the file alone would lack what its write-ahead log has
            database.execute("VACUUM INTO ?", (str(partial / DATABASE),))
        partial.rename(made)
