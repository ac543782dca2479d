"""Which offsets may be committed: those whose batches Redis has made durable (DESIGN §2, Durability).

A thread waits for the disk, so that the loop goes on merging; one wait covers everything committed before it began. What it waits for is read on
the connection that waits: a Redis that came back without its last second answers like any other, but the fence in it is behind what was applied.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from headrace.errors import HeadraceError
from profile_store.partitions import read_durable_places
from profile_store.store import Store
from streaming import metrics

log = logging.getLogger("headrace.worker")

_RETRY_SECONDS = 0.5
Applied = tuple[int, int]
"""(import_seq, batch_no): the last batch of a partition that was applied or skipped. A later one stands for all before it."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """`next_offset` may be committed when Redis has `applied` on disk."""

    next_offset: int
    applied: Applied


class DurableOffsets:
    """`add` what was committed (or skipped), `take` what may be committed to Kafka, `take_lost` what Redis lost. Offsets: of the next message."""

    def __init__(self, store: Store, domain: str) -> None:
        self._store = store
        self._domain = domain
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._pending: dict[int, _Pending] = {}
        self._durable: dict[int, int] = {}
        self._lost: set[int] = set()
        self._generations: dict[int, int] = {}
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name=f"durable-offsets-{domain}", daemon=True)
        self._thread.start()

    def add(self, partition: int, next_offset: int, applied: Applied) -> None:
        with self._lock:
            before = self._pending.get(partition)
            self._pending[partition] = _Pending(next_offset, applied if before is None else max(applied, before.applied))
        self._wake.set()

    def take(self) -> dict[int, int]:
        """Partition → offset that became durable since the last call."""
        with self._lock:
            durable, self._durable = self._durable, {}
        return durable

    def put_back(self, partition: int, offset: int) -> None:
        """Kafka did not take it: it is to be committed again, unless a later one has become durable."""
        with self._lock:
            self._durable[partition] = max(offset, self._durable.get(partition, -1))

    def take_lost(self) -> set[int]:
        """The partitions of which Redis does not have what was applied: to be taken over, and read, again."""
        with self._lock:
            lost, self._lost = self._lost, set()
        return lost

    def waiting(self) -> int:
        with self._lock:
            return len(self._pending)

    def forget(self, partitions: Iterable[int]) -> None:
        """Drop what is not durable yet: the partition is no longer ours, or its state has to be read again."""
        with self._lock:
            for partition in partitions:
                self._forget(partition)
                self._lost.discard(partition)

    def settle(self) -> None:
        """Wait for the disk now, in the caller's thread. Raises TransientError."""
        self._make_durable()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait()
            self._wake.clear()
            try:
                self._make_durable()
                self._trouble = ""
            except Exception as error:  # noqa: BLE001 - this thread must not end: without it no offset would ever be committed again
                self._report(error)
                self._stopping.wait(_RETRY_SECONDS)
                self._wake.set()

    def _report(self, error: Exception) -> None:
        """Once for each kind of trouble, not twice a second."""
        code = error.code if isinstance(error, HeadraceError) else type(error).__name__
        metrics.FAILURES.labels(self._domain, code).inc()
        if self._trouble != code:
            self._trouble = code
            known = isinstance(error, HeadraceError)
            log.warning("domain %s: offsets wait for Redis' disk: %s", self._domain, error if known else code, exc_info=not known)

    def _make_durable(self) -> None:
        with self._lock:
            snapshot = dict(self._pending)
            generations = dict(self._generations)
        if not snapshot:
            return
        there = read_durable_places(self._store, self._domain, {partition: one.applied[0] for partition, one in snapshot.items()})
        with self._lock:
            for partition, one in snapshot.items():
                if generations.get(partition, 0) != self._generations.get(partition, 0):
                    continue
                floor, fence = there.get(partition, (-1, -1))
                import_seq, batch_no = one.applied
                if floor < import_seq and fence < batch_no:
                    self._forget(partition)
                    self._lost.add(partition)
                    continue
                self._durable[partition] = max(one.next_offset, self._durable.get(partition, -1))
                if self._pending.get(partition) == one:
                    del self._pending[partition]

    def _forget(self, partition: int) -> None:
        self._pending.pop(partition, None)
        self._durable.pop(partition, None)
        self._generations[partition] = self._generations.get(partition, 0) + 1
