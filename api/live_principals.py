"""The principals of a running API: read again when their file changes, so that a key is replaced without a restart."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from api.principals import Principals
from api.principals_file import load_principals
from headrace.errors import ConfigurationError

log = logging.getLogger("headrace.api")

LOOK_SECONDS = 1.0


class LivePrincipals:
    """`current()` is never older than LOOK_SECONDS; a file that became wrong changes nothing until it is right again."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigurationError."""
        self._path = path
        self._seen = self._stamp()
        self._principals = load_principals(path)
        self._looked = time.monotonic()
        self._lock = threading.Lock()

    def current(self) -> Principals:
        with self._lock:
            if time.monotonic() - self._looked >= LOOK_SECONDS:
                self._look()
            return self._principals

    def _look(self) -> None:
        self._looked = time.monotonic()
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._principals = load_principals(self._path)
            log.info("principals were read again")
        except ConfigurationError as error:
            log.error("principals stay as they were: %s", "; ".join(error.problems))  # noqa: TRY400 - the message says it all

    def _stamp(self) -> tuple[int, ...]:
        """Of the file and of those beside it: secrets change, too."""
        try:
            return tuple(one.stat().st_mtime_ns for one in sorted(self._path.parent.iterdir()) if one.is_file())
        except OSError:
            return ()
