"""A merge worker process: a domain worker in a thread for each domain, new domains included as they come."""

from __future__ import annotations

import logging
import threading
from typing import Any

from headrace.errors import HeadraceError
from headrace.settings import Settings
from profile_store import registry
from profile_store.store import Store
from streaming.worker.domain_worker import DomainWorker
from streaming.worker.health import serve

log = logging.getLogger("headrace.worker")

_LOOK_SECONDS = 1.0
_SILENT_SECONDS = 60.0


class Fleet:
    """`run()` until `stop()`. `domains` empty: all there are."""

    def __init__(self, settings: Settings, domains: tuple[str, ...] = ()) -> None:
        self._settings = settings
        self._only = domains
        self._stopping = threading.Event()
        self._workers: dict[str, tuple[DomainWorker, threading.Thread]] = {}
        self._trouble: str | None = None

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        """Raises TerminalError where Redis is not safe to write to."""
        store = Store(self._settings.redis)
        store.check_safe()
        server = serve(self._settings.worker.health_host, self._settings.worker.health_port, self.health)
        log.info("serving /health and /metrics on port %d", server.server_port)
        while not self._stopping.is_set():
            self._look(store)
            self._stopping.wait(_LOOK_SECONDS)
        for worker, _ in self._workers.values():
            worker.stop()
        for _, thread in self._workers.values():
            thread.join(self._settings.worker.drain_seconds)
        server.shutdown()
        store.close()

    def _look(self, store: Store) -> None:
        try:
            domains = self._only or registry.domain_names(store)
            self._trouble = None
        except HeadraceError as error:
            self._trouble = str(error)
            return
        for domain in self._workers.keys() - set(domains):
            log.info("domain %s is gone", domain)
            self._workers.pop(domain)[0].stop()
        for domain in domains:
            running = self._workers.get(domain)
            if running is None or not running[1].is_alive():
                worker = DomainWorker(domain, Store(self._settings.redis), self._settings.kafka)
                thread = threading.Thread(target=self._run_one, args=(worker,), name=f"domain-{domain}", daemon=True)
                self._workers[domain] = worker, thread
                thread.start()

    def _run_one(self, worker: DomainWorker) -> None:
        try:
            worker.run()
        except Exception:
            # The thread ends, and the next look starts another.
            log.exception("domain %s: the loop ended", worker.domain)

    def health(self) -> tuple[bool, dict[str, Any]]:
        said: dict[str, Any] = {"status": "ok", "domains": {}}
        well = self._trouble is None
        for domain, (worker, thread) in list(self._workers.items()):
            owned = worker.partitions
            alive = thread.is_alive() and worker.seconds_since_beat < _SILENT_SECONDS
            well = well and alive
            said["domains"][domain] = {
                "partitions": len(owned),
                "paused": sorted(number for number, paused in owned.items() if paused),
                "alive": alive,
            }
        if not well:
            said["status"] = self._trouble or "a domain's loop does not go round"
        return well, said
