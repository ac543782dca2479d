"""What the API writes into the audit trail (SPEC U12): every call before it is done; what may be refused in a flood is told together."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from math import inf
from typing import Any

from headrace.errors import HeadraceError
from profile_store import audit
from profile_store.store import Store

log = logging.getLogger("headrace.api")

AGAIN_SECONDS = 1.0
MOST_WAITING = 20
"""Entries of refused calls that wait for Redis. While there are as many, what is refused is counted on."""
WAIT_SECONDS, CLOSE_SECONDS = 2.0, 5.0
"""For such entries: before a call of who was refused, and at the end."""


@dataclass(slots=True)
class _Flood:
    """Refused calls of one kind that nobody has noted yet; `about` and `names`: what all of them have in common."""

    noted: float = -inf
    times: int = 0
    about: str = ""
    names: dict[str, str] = field(default_factory=dict)

    def add(self, about: str, names: dict[str, str]) -> None:
        if not self.times:
            self.about, self.names = about, names
        elif about != self.about:
            self.about = "the API"
        self.names = {name: one for name, one in self.names.items() if names.get(name) == one}
        self.times += 1

    def taken(self, now: float) -> tuple[str, dict[str, Any]]:
        """What to note of them: about what, and the detail."""
        about, detail = self.about, {**self.names, **({"times": self.times} if self.times > 1 else {})}
        self.noted, self.times = now, 0
        return about, detail


class Trail:
    """Of one process; safe to use from several threads. `most_reads`: how many calls that change nothing are kept."""

    def __init__(self, store: Store, most_reads: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._most_reads = most_reads
        self._clock = clock
        self._lock = threading.Lock()
        self._floods: dict[str, dict[tuple[str, str], _Flood]] = {}
        self._waiting = 0
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="trail")

    def change(self, who: str, what: str, about: str, **detail: Any) -> None:
        """Kept for ever. Raises TransientError: then it may not be done."""
        self.tell_refused(who)
        audit.note(self._store, what, about, who, **detail)

    def read(self, who: str, what: str, about: str, **detail: Any) -> None:
        """Raises TransientError: then it may not be done."""
        self.tell_refused(who)
        audit.note_read(self._store, what, about, who, self._most_reads, **detail)

    def refused(self, who: str, what: str, about: str, code: str, **names: str) -> None:
        """The first one at once; those of the next second are one entry, which says how many `times`. Where Redis does not answer, the log has it.

        Written behind the caller's back: who is refused does not wait for Redis.
        """
        with self._lock:
            flood, now = self._floods.setdefault(who, {}).setdefault((what, code), _Flood()), self._clock()
            flood.add(about, names)
            if now - flood.noted >= AGAIN_SECONDS and self._waiting < MOST_WAITING:
                self._hand_over(who, what, code, flood, now)

    def tell_refused(self, who: str) -> None:
        """Those that were counted and not noted."""
        wait(self._all_handed_over(who), WAIT_SECONDS)

    def close(self) -> None:
        """What Redis has not taken in some seconds is in the log alone."""
        left = wait([one for who in list(self._floods) for one in self._all_handed_over(who)], CLOSE_SECONDS).not_done
        if left:
            log.warning("refused calls of %d kinds are not in the audit trail", len(left))
        self._writer.shutdown(wait=False, cancel_futures=True)

    def _all_handed_over(self, who: str) -> list[Future[None]]:
        with self._lock:
            floods, now = self._floods.get(who, {}), self._clock()
            return [self._hand_over(who, what, code, flood, now) for (what, code), flood in floods.items() if flood.times]

    def _hand_over(self, who: str, what: str, code: str, flood: _Flood, now: float) -> Future[None]:
        """Under the lock."""
        about, detail = flood.taken(now)
        self._waiting += 1
        return self._writer.submit(self._write, who, what, about, {**detail, "refused": code})

    def _write(self, who: str, what: str, about: str, detail: dict[str, Any]) -> None:
        try:
            audit.note_read(self._store, what, about, who, self._most_reads, **detail)
        except HeadraceError as error:
            log.warning("what was refused is not in the audit trail: %s %s %s %s (%s)", who, what, about, detail, error)
        finally:
            with self._lock:
                self._waiting -= 1
