"""Sees changes of definitions and erasures through behind whoever asked for them: a server that answers at once does not wait for their turn.

Whoever registered them may have died since; the next process that follows the domain goes on. Imports are never taken up here: their runs do that.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from headrace.errors import HeadraceError
from profile_store import registry, sequence
from profile_store.registration import Registration
from streaming.importing.await_turn import take_up
from streaming.importing.context import ImportContext

log = logging.getLogger("headrace.follow")

LOOK_SECONDS = 0.2
TROUBLE_SECONDS = 2.0


class Follower:
    """`follow(domain)` from any thread; a thread for each domain that has something open."""

    def __init__(self, context: ImportContext, segments_changed: Callable[[str], None] = lambda _domain: None) -> None:
        """`segments_changed(domain)`: called when workers know of a change of segments, which may have to be built."""
        self._context = context
        self._segments_changed = segments_changed
        self._owner = sequence.fresh_owner()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}
        self._asked: set[str] = set()

    def follow_all(self) -> None:
        """What was left open when the last process ended."""
        for domain in registry.domain_names(self._context.store):
            self.follow(domain)

    def follow(self, domain: str) -> None:
        with self._lock:
            self._asked.add(domain)
            if domain not in self._threads:
                thread = threading.Thread(target=self._go, args=(domain,), name=f"follow-{domain}", daemon=True)
                self._threads[domain] = thread
                thread.start()

    def stop(self) -> None:
        """What is under way may stay open: it is taken up again by whoever follows the domain next."""
        self._stopping.set()

    def _go(self, domain: str) -> None:
        while not self._stopping.is_set():
            with self._lock:
                if domain not in self._asked:
                    del self._threads[domain]
                    return
                self._asked.discard(domain)
            try:
                self._until_done(domain)
            except HeadraceError as error:
                log.warning("domain %s: %s", domain, error)
                with self._lock:
                    self._asked.add(domain)
                self._stopping.wait(TROUBLE_SECONDS)
            except Exception:
                log.exception("domain %s: following it ended", domain)

    def _until_done(self, domain: str) -> None:
        while not self._stopping.is_set():
            ahead = sequence.open_registrations(self._context.store, domain)
            if not any(map(_is_ours, ahead)):
                return
            if not _is_ours(ahead[0]) or not take_up(self._context, domain, ahead[0].import_seq, self._owner):
                self._stopping.wait(LOOK_SECONDS)
            elif ahead[0].kind == "segments":
                self._segments_changed(domain)


def _is_ours(registration: Registration) -> bool:
    return registration.kind != "import"
