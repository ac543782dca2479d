"""Which offsets may be committed: those whose batches Redis has made durable (DESIGN §2, Durability).

A thread waits for the disk, so that the loop goes on merging; one wait covers everything committed before it began.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from headrace.errors import HeadraceError
from profile_store.durability import barrier, partition_marks
from profile_store.store import Store

_RETRY_SECONDS = 0.5


class DurableOffsets:
    """`add` what was committed (or skipped), `take` what may be committed to Kafka. Offsets are those of the next message to read."""

    def __init__(self, store: Store, domain: str) -> None:
        self._store = store
        self._domain = domain
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._pending: dict[int, int] = {}
        self._durable: dict[int, int] = {}
        self._generations: dict[int, int] = {}
        self._thread = threading.Thread(target=self._run, name=f"durable-offsets-{domain}", daemon=True)
        self._thread.start()

    def add(self, partition: int, next_offset: int) -> None:
        with self._lock:
            self._pending[partition] = next_offset
        self._wake.set()

    def take(self) -> dict[int, int]:
        """Partition → offset that became durable since the last call."""
        with self._lock:
            durable, self._durable = self._durable, {}
        return durable

    def waiting(self) -> int:
        with self._lock:
            return len(self._pending)

    def forget(self, partitions: Iterable[int]) -> None:
        """Drop what is not durable yet: the partition is no longer ours, or its state has to be read again."""
        with self._lock:
            for partition in partitions:
                self._pending.pop(partition, None)
                self._durable.pop(partition, None)
                self._generations[partition] = self._generations.get(partition, 0) + 1

    def settle(self) -> None:
        """Wait for the disk now, in the caller's thread. Raises TransientError."""
        self._make_durable()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait()
            self._wake.clear()
            try:
                self._make_durable()
            except HeadraceError:
                # The loop meets the same outage and reports it; what is pending stays so.
                threading.Event().wait(_RETRY_SECONDS)
                self._wake.set()

    def _make_durable(self) -> None:
        with self._lock:
            snapshot = dict(self._pending)
            generations = dict(self._generations)
        if not snapshot:
            return
        barrier(self._store, partition_marks(self._domain, snapshot))
        with self._lock:
            for partition, offset in snapshot.items():
                if generations.get(partition, 0) != self._generations.get(partition, 0):
                    continue
                self._durable[partition] = max(offset, self._durable.get(partition, -1))
                if self._pending.get(partition) == offset:
                    del self._pending[partition]
