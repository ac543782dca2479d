"""What the API writes into the audit trail (SPEC U12): every call before it is done; what may be refused in a flood is told together."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any

from headrace.errors import HeadraceError
from profile_store import audit
from profile_store.store import Store

log = logging.getLogger("headrace.api")

AGAIN_SECONDS = 1.0


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

    def change(self, who: str, what: str, about: str, **detail: Any) -> None:
        """Kept for ever. Raises TransientError: then it may not be done."""
        self.tell_refused(who)
        audit.note(self._store, what, about, who, **detail)

    def read(self, who: str, what: str, about: str, **detail: Any) -> None:
        """Raises TransientError: then it may not be done."""
        self.tell_refused(who)
        audit.note_read(self._store, what, about, who, self._most_reads, **detail)

    def refused(self, who: str, what: str, about: str, code: str, **names: str) -> None:
        """The first one at once; those of the next second are one entry, which says how many `times`. Where Redis does not answer, the log has it."""
        with self._lock:
            flood, now = self._floods.setdefault(who, {}).setdefault((what, code), _Flood()), self._clock()
            flood.add(about, names)
            if now - flood.noted < AGAIN_SECONDS:
                return
            about, detail = flood.taken(now)
        self._write(who, what, about, {**detail, "refused": code})

    def tell_refused(self, who: str) -> None:
        """Those that were counted and not noted."""
        with self._lock:
            now = self._clock()
            left = [(kind, flood.taken(now)) for kind, flood in self._floods.get(who, {}).items() if flood.times]
        for (what, code), (about, detail) in left:
            self._write(who, what, about, {**detail, "refused": code})

    def close(self) -> None:
        for who in list(self._floods):
            self.tell_refused(who)

    def _write(self, who: str, what: str, about: str, detail: dict[str, Any]) -> None:
        try:
            audit.note_read(self._store, what, about, who, self._most_reads, **detail)
        except HeadraceError as error:
            log.warning("what was refused is not in the audit trail: %s %s %s %s (%s)", who, what, about, detail, error)
