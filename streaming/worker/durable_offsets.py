"""What Redis has made durable: which offsets may be committed, and which messages for neighbours published (DESIGN §2, Durability).

A thread waits for the disk, so that the loop goes on merging; one wait covers everything committed before it began. What it waits for is read on
the connection that waits, by its token: a Redis that came back without its last second answers like any other, but the token in it is an older one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from headrace.errors import HeadraceError
from headrace.failpoints import step
from profile_store.partitions import PartitionState, read_durable_tokens
from profile_store.store import Store
from streaming import metrics

log = logging.getLogger("headrace.worker")

_RETRY_SECONDS, _LOOK_SECONDS = 0.5, 0.01


@dataclass(slots=True)
class _Partition:
    """Our commits since we took the partition over, numbered from 0, which is the takeover itself.

    `tokens`: of the commits that are not known to be durable → their numbers; `next_token`: of a commit that may be under way; `offsets`: (commit,
    offset of the next message) that wait for it.
    """

    next_token: str
    last: int = 0
    durable: int = 0
    tokens: dict[str, int] = field(default_factory=dict)
    offsets: list[tuple[int, int]] = field(default_factory=list)


class DurableOffsets:
    """`take` what may be committed to Kafka (offsets of the next message), `take_lost` what Redis lost, `durable` up to which commit it is on disk."""

    def __init__(self, store: Store, domain: str) -> None:
        self._store = store
        self._domain = domain
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._partitions: dict[int, _Partition] = {}
        self._durable: dict[int, int] = {}
        self._lost: set[int] = set()
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name=f"durable-offsets-{domain}", daemon=True)
        self._thread.start()

    def taken_over(self, state: PartitionState) -> None:
        """The partition is ours, and that is durable."""
        with self._lock:
            self._partitions[state.partition] = _Partition(state.next_token)

    def committed(self, state: PartitionState) -> int:
        """We have committed to Redis, which gave this state: the number of that commit."""
        with self._lock:
            ours = self._partitions[state.partition]
            ours.last += 1
            ours.tokens[state.token] = ours.last
            ours.next_token = state.next_token
            number = ours.last
        self._wake.set()
        return number

    def add(self, partition: int, next_offset: int) -> None:
        """Everything before this offset is applied, or was before: it may be committed when our last commit is durable."""
        with self._lock:
            ours = self._partitions[partition]
            if ours.last == ours.durable:
                self._durable[partition] = max(next_offset, self._durable.get(partition, -1))
            else:
                ours.offsets.append((ours.last, next_offset))

    def durable(self, partition: int) -> int:
        """The number of the last commit that is durable; -1 where the partition is not ours."""
        with self._lock:
            ours = self._partitions.get(partition)
            return -1 if ours is None else ours.durable

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
        """Partitions with commits that are not known to be durable."""
        with self._lock:
            return sum(ours.last > ours.durable for ours in self._partitions.values())

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
                if self.waiting():
                    # Committed meanwhile; or Redis is back at an earlier commit of ours, which a second look tells from one that goes on.
                    self._stopping.wait(_LOOK_SECONDS)
                    self._wake.set()
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
        # One after the other: an answer that is older than one taken in before it would look as if Redis had lost what lies between.
        with self._asking:
            self._ask()

    def _ask(self) -> None:
        with self._lock:
            asked = {number: ours for number, ours in self._partitions.items() if ours.last > ours.durable}
        if not asked:
            return
        with step("confirm"):
            tokens = read_durable_tokens(self._store, self._domain, asked)
        with self._lock:
            for number, ours in asked.items():
                if self._partitions.get(number) is not ours:
                    continue
                token = tokens.get(number, "")
                if token in ours.tokens:
                    self._now_durable(number, ours, token)
                elif token != ours.next_token:
                    self._forget(number)
                    self._lost.add(number)

    def _now_durable(self, number: int, ours: _Partition, token: str) -> None:
        ours.durable = ours.tokens[token]
        ours.tokens = {one: commit for one, commit in ours.tokens.items() if commit > ours.durable}
        for _, offset in [one for one in ours.offsets if one[0] <= ours.durable]:
            self._durable[number] = max(offset, self._durable.get(number, -1))
        ours.offsets = [one for one in ours.offsets if one[0] > ours.durable]

    def _forget(self, partition: int) -> None:
        self._partitions.pop(partition, None)
        self._durable.pop(partition, None)
