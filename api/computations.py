"""Estimates and snapshots go on behind the call that asked for them. Their state is in Redis, so that any process of the API can tell of it.

It changes once. Who computes is heard of while it does; when nobody is, whoever asks ends it.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from api.errors import of_headrace, throttled
from headrace.errors import HeadraceError
from profile_store.computations import ALIVE_SECONDS, end_computation, is_alive, put_computation, read_computation, say_alive
from profile_store.store import Store

log = logging.getLogger("headrace.api")

RUNNING, SUCCEEDED, FAILED = "RUNNING", "SUCCEEDED", "FAILED"
AT_ONCE = 2
MOST_WAITING = 50
KEPT_SECONDS = 30 * 24 * 3600
GRACE_SECONDS = 5.0
"""What goes on may come to its end when the process is told to."""
END_ATTEMPTS = 120
ENDED = {"Status": FAILED, "Message": "The process that computed it has ended. Ask for it anew."}


@dataclass(frozen=True, slots=True, eq=False)
class _Computation:
    domain: str
    identity: str
    about: dict[str, Any]
    work: Callable[[str], dict[str, Any]]


class Computations:
    """`AT_ONCE` of them go on in this process, others wait for their turn."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed = threading.Condition()
        self._waiting: deque[_Computation] = deque()
        self._going_on: set[_Computation] = set()
        self._open = 0
        self._stopping = False
        self._over = threading.Event()
        # Daemons: no process is kept by them when its time is over.
        for number in range(AT_ONCE):
            threading.Thread(target=self._work, name=f"computation-{number}", daemon=True).start()
        threading.Thread(target=self._say_alive, name="computations", daemon=True).start()

    def start(self, domain: str, about: dict[str, Any], work: Callable[[str], dict[str, Any]]) -> str:
        """Its id. `about`: kept with it; `work(id)` gives what is added when it has succeeded. Raises ApiError, TransientError."""
        asked = _Computation(domain, uuid.uuid4().hex, about, work)
        with self._changed:
            if self._stopping or self._open >= MOST_WAITING:
                raise throttled("Too many estimates and snapshots are waiting. Try again when some of them are done.")
            self._open += 1
        try:
            say_alive(self._store, domain, asked.identity)
            put_computation(self._store, domain, asked.identity, {**about, "Status": RUNNING}, KEPT_SECONDS)
        except BaseException:
            with self._changed:
                self._open -= 1
            raise
        with self._changed:
            self._waiting.append(asked)
            self._changed.notify_all()
        return asked.identity

    def find(self, domain: str, identity: str) -> dict[str, Any] | None:
        """`about`, `Status`, and what `work` gave, or `Message`: why it failed."""
        found = read_computation(self._store, domain, identity)
        if found is None or found["Status"] != RUNNING or is_alive(self._store, domain, identity):
            return found
        return end_computation(self._store, domain, identity, {**found, **ENDED}, KEPT_SECONDS, "dead")

    def stop(self) -> None:
        """What has not begun is never begun; what goes on has a moment, then it has failed, whatever comes of it."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._going_on, GRACE_SECONDS)
            left = [*self._waiting, *self._going_on]
        for one in left:
            self._end(one, ENDED)
        self._over.set()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._waiting)
                if self._stopping:
                    return
                one = self._waiting.popleft()
                self._going_on.add(one)
            self._see_to_its_end(one, self._computed(one))
            with self._changed:
                self._going_on.discard(one)
                self._open -= 1
                self._changed.notify_all()

    def _computed(self, one: _Computation) -> dict[str, Any]:
        try:
            return {"Status": SUCCEEDED, **one.work(one.identity)}
        except HeadraceError as error:
            told = of_headrace(error)
            return {"Status": FAILED, "Message": error.message if told is None else told.message}
        except Exception as error:  # noqa: BLE001 - whoever asked gets an answer; what is in the message may be personal
            log.error("computation %s: %s", one.identity, type(error).__name__)  # noqa: TRY400 - without the message
            return {"Status": FAILED, "Message": "Something went wrong; the log of the API says more."}

    def _see_to_its_end(self, one: _Computation, how: dict[str, Any]) -> None:
        """Again and again while Redis does not answer, for a while: what is done is not FAILED for that. Meanwhile it is said to be alive."""
        for _ in range(END_ATTEMPTS):
            if self._end(one, how) or self._over.wait(1.0):
                return

    def _end(self, one: _Computation, how: dict[str, Any]) -> bool:
        """Whether its end is noted: this one, or one before."""
        try:
            end_computation(self._store, one.domain, one.identity, {**one.about, **how}, KEPT_SECONDS, "own")
        except HeadraceError as error:
            log.warning("computation %s: its end could not be noted: %s", one.identity, error)
            return False
        return True

    def _say_alive(self) -> None:
        while not self._over.wait(ALIVE_SECONDS / 3):
            with self._changed:
                there = [*self._waiting, *self._going_on]
            for one in there:
                with suppress(HeadraceError):  # said again in a moment
                    say_alive(self._store, one.domain, one.identity)
