"""Estimates and snapshots go on behind the call that asked for them. Their state is in Redis, so that any process of the API can tell of it."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from api.errors import of_headrace, throttled
from headrace.errors import HeadraceError
from profile_store.computations import ALIVE_SECONDS, is_alive, put_computation, read_computation, say_alive
from profile_store.store import Store

log = logging.getLogger("headrace.api")

RUNNING, SUCCEEDED, FAILED = "RUNNING", "SUCCEEDED", "FAILED"
AT_ONCE = 2
MOST_WAITING = 50
KEPT_SECONDS = 30 * 24 * 3600
ENDED = "The process that computed it has ended. Ask for it anew."


class Computations:
    """`AT_ONCE` of them go on in this process, others wait for their turn."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="computation")
        self._lock = threading.Lock()
        self._open: set[tuple[str, str]] = set()
        self._stopping = threading.Event()
        threading.Thread(target=self._say_alive, name="computations", daemon=True).start()

    def start(self, domain: str, about: dict[str, Any], work: Callable[[str], dict[str, Any]]) -> str:
        """Its id. `about`: kept with it; `work(id)` gives what is added when it has succeeded. Raises ApiError, TransientError."""
        identity = uuid.uuid4().hex
        with self._lock:
            if len(self._open) >= MOST_WAITING:
                raise throttled("Too many estimates and snapshots are waiting. Try again when some of them are done.")
            self._open.add((domain, identity))
        try:
            say_alive(self._store, domain, identity)
            put_computation(self._store, domain, identity, {**about, "Status": RUNNING}, KEPT_SECONDS)
            self._threads.submit(self._compute, domain, identity, about, work)
        except BaseException:
            self._close(domain, identity)
            raise
        return identity

    def find(self, domain: str, identity: str) -> dict[str, Any] | None:
        """`about`, `Status`, and what `work` gave, or `Message`: why it failed."""
        found = read_computation(self._store, domain, identity)
        if found is None or found["Status"] != RUNNING or is_alive(self._store, domain, identity):
            return found
        # Asked again: it may have come to its end between the two questions.
        now = read_computation(self._store, domain, identity) or found
        return {**now, "Status": FAILED, "Message": ENDED} if now["Status"] == RUNNING else now

    def stop(self) -> None:
        """What has not begun is never begun; what goes on ends with the process."""
        self._stopping.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _compute(self, domain: str, identity: str, about: dict[str, Any], work: Callable[[str], dict[str, Any]]) -> None:
        try:
            done = {"Status": SUCCEEDED, **work(identity)}
        except HeadraceError as error:
            told = of_headrace(error)
            done = {"Status": FAILED, "Message": error.message if told is None else told.message}
        except Exception as error:  # noqa: BLE001 - whoever asked gets an answer; what is in the message may be personal
            log.error("computation %s: %s", identity, type(error).__name__)  # noqa: TRY400 - without the message
            done = {"Status": FAILED, "Message": "Something went wrong; the log of the API says more."}
        try:
            put_computation(self._store, domain, identity, {**about, **done}, KEPT_SECONDS)
        except HeadraceError as error:
            log.warning("computation %s: its end could not be noted: %s", identity, error)
        self._close(domain, identity)

    def _close(self, domain: str, identity: str) -> None:
        with self._lock:
            self._open.discard((domain, identity))

    def _say_alive(self) -> None:
        while not self._stopping.wait(ALIVE_SECONDS / 3):
            with self._lock:
                there = list(self._open)
            for domain, identity in there:
                with suppress(HeadraceError):  # said again in a moment
                    say_alive(self._store, domain, identity)
