"""The loop of one domain: the steps of a merge worker, wired.

One thread reads from Kafka, applies batch after batch, and commits the offsets that have become durable. A partition that fails is paused
alone and tried again with growing pauses; nothing is skipped over but what is poison, and that is told (`streaming.worker.poison`). Claims, and the
answers to them, are never given up: a partition that can't apply them stands still, which `/health`, a metric and the log say.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from typing import Any, TypeVar

from headrace.errors import HeadraceError, TransientError
from headrace.settings import KafkaSettings
from profile_store.partitions import PartitionState
from profile_store.store import Store
from streaming import metrics
from streaming.kafka import neighbours_topic, rows_topic
from streaming.topic_watch import TopicWatch
from streaming.worker.applier import Applier, code_of
from streaming.worker.batch import Result, Verdict
from streaming.worker.neighbour_reader import NeighbourReader
from streaming.worker.owned import OwnedPartition, Waiting
from streaming.worker.poison import ATTEMPTS, is_poison
from streaming.worker.row_reader import RowReader

log = logging.getLogger("headrace.worker")

_POLL_SECONDS = 0.02
_POLL_MESSAGES, _POLL_TOLD = 16, 1_000
_QUEUED_MESSAGES = 8
"""A partition with more than this waiting is not fetched until it has caught up."""
_OUTBOX_BYTES = 8_000_000
"""A partition whose neighbours have more than this to hear takes no row batch until they have caught up: an outbox lies in memory, here and in Redis."""


T = TypeVar("T")


def _running(part: T | None) -> T:
    if part is None:
        raise RuntimeError("the worker runs only inside run()")
    return part


class DomainWorker:
    """`run()` until `stop()`; then what is under way is finished, made durable, committed, and the partitions are given back."""

    def __init__(self, domain: str, store: Store, settings: KafkaSettings) -> None:
        self.domain = domain
        self._store = store
        self._settings = settings
        self._owned: dict[int, OwnedPartition] = {}
        self._stopping = threading.Event()
        self._beat = time.monotonic()
        self._running_applier: Applier | None = None
        self._running_rows: RowReader | None = None
        self._running_neighbours: NeighbourReader | None = None

    def stop(self) -> None:
        self._stopping.set()

    @property
    def seconds_since_beat(self) -> float:
        """Since the loop last went round."""
        return time.monotonic() - self._beat

    @property
    def partitions(self) -> dict[int, bool]:
        """The partitions owned → whether each waits after a failure."""
        return {number: owned.paused for number, owned in list(self._owned.items())}

    @property
    def _applier(self) -> Applier:
        return _running(self._running_applier)

    @property
    def _rows(self) -> RowReader:
        return _running(self._running_rows)

    @property
    def _neighbours(self) -> NeighbourReader:
        return _running(self._running_neighbours)

    def run(self) -> None:
        while not self._stopping.is_set():
            self._run_on_the_topics_there_are()

    def _run_on_the_topics_there_are(self) -> None:
        """Until one of them is deleted and made again, or `stop()`."""
        topics = rows_topic(self._settings, self.domain), neighbours_topic(self._settings, self.domain)
        watch = TopicWatch(self._settings, *topics)
        self._running_applier = Applier(self.domain, self._store, self._settings)
        self._running_neighbours = NeighbourReader(self._settings, self.domain)
        self._running_rows = RowReader(self._settings, self.domain, self._not_committed)
        try:
            self._rows.subscribe(self._assigned, self._revoked, self._lost)
            while not self._stopping.is_set():
                self._turn()
                if topic := watch.made_again():
                    log.warning("domain %s: topic %s was deleted and made again; beginning anew", self.domain, topic)
                    self._drop(list(self._owned))  # offsets of the old topic say nothing of the new one
                    return
            self._give_back(list(self._owned))
        finally:
            self._rows.close()
            self._neighbours.close()
            self._applier.stop()
            log.info("domain %s: stopped", self.domain)

    def _turn(self) -> None:
        self._beat = time.monotonic()
        self._read()
        self._fetch_new()
        self._find_lost()
        self._take_over()
        for owned in list(self._owned.values()):
            if owned.astray and owned.ready:
                self._read_again(owned)
            while self._has_work(owned) and not self._stopping.is_set():
                if not self._attempt(owned):
                    break
        self._applier.publish()
        self._rows.commit_soon(self._durable())
        self._measure()

    def _take_over(self) -> None:
        """All partitions that have come, at once. Where that fails each is tried by itself, with its own pauses."""
        fresh = [owned for owned in self._owned.values() if owned.state is None and not owned.astray and not owned.attempts]
        if not fresh:
            return
        try:
            self._applier.take_over(fresh)
        except HeadraceError as error:
            for owned in fresh:
                self._tell(owned, error, owned.failed())

    def _measure(self) -> None:
        metrics.PARTITIONS.labels(self.domain).set(len(self._owned))
        metrics.PAUSED.labels(self.domain).set(sum(owned.paused for owned in self._owned.values()))
        metrics.NOT_DURABLE.labels(self.domain).set(self._applier.offsets.waiting())
        metrics.OUTBOX.labels(self.domain).set(self._applier.outbox.waiting())

    def _durable(self) -> dict[int, int]:
        """Offsets that may be committed."""
        return {number: offset for number, offset in self._applier.offsets.take().items() if number in self._owned}

    def _has_work(self, owned: OwnedPartition) -> bool:
        return owned.ready and not owned.astray and (bool(owned.told) or self._takes_rows(owned) or owned.state is None)

    def _takes_rows(self, owned: OwnedPartition) -> bool:
        return owned.has_rows and self._applier.outbox.waiting_bytes(owned.number) < _OUTBOX_BYTES

    def _read(self) -> None:
        busy = any(self._has_work(owned) for owned in self._owned.values())
        for number, waiting in self._neighbours.read(_POLL_TOLD, 0 if busy else _POLL_SECONDS):
            if number in self._owned:
                self._owned[number].told.append(waiting)
                busy = True
        begun_again: set[int] = set()
        for message in self._rows.read(_POLL_MESSAGES, 0 if busy else _POLL_SECONDS):
            number, offset = message.partition() or 0, message.offset() or 0
            owned = self._owned.get(number)
            if owned is None or owned.astray or number in begun_again:
                continue
            if offset <= owned.read_upto:
                begun_again.add(number)
                self._begin_again(owned, offset)
                continue
            owned.read_upto = offset
            owned.queue.append(Waiting(self._rows.topic, offset, message.value() or b""))
            if len(owned.queue) == _QUEUED_MESSAGES:
                self._rows.pause(number)

    def _begin_again(self, owned: OwnedPartition, offset: int) -> None:
        """The log went back without our asking: its topic was deleted and made again. The client would resume at the old place for ever, so it
        is told where to read."""
        owned.queue.clear()
        try:
            self._move(owned, offset)
        except HeadraceError as error:
            owned.astray = True
            self._tell(owned, error, owned.failed())

    def _attempt(self, owned: OwnedPartition) -> bool:
        """Apply what waits for a partition, one row batch at most; whether more may follow at once."""
        told, waiting = owned.next_group(owned.queue[0] if self._takes_rows(owned) else None)
        try:
            with metrics.BATCH_SECONDS.labels(self.domain).time():
                result = self._applier.apply(owned, told, waiting)
        except Exception as error:  # noqa: BLE001 - whatever it is, the partition waits
            return self._failed(owned, told, waiting, error)
        return self._applied(owned, told, waiting, result)

    def _applied(self, owned: OwnedPartition, told: list[Waiting], waiting: Waiting | None, result: Result) -> bool:
        owned.went_well()
        if result.verdict is Verdict.LOST:
            self._start_again(owned)
            return False
        owned.drop_told(len(told))
        if waiting is None:
            return True
        if result.verdict is Verdict.AHEAD:
            return self._ahead(owned, waiting, result.state)
        self._pop(owned, waiting)
        return True

    def _failed(self, owned: OwnedPartition, told: list[Waiting], waiting: Waiting | None, error: Exception) -> bool:
        """An outage is nobody's fault; of several messages each is tried alone from here on; one that fails alone too often may be poison."""
        tried = [*told, *([] if waiting is None else [waiting])]
        if isinstance(error, TransientError) or owned.state is None or len(tried) != 1:
            if not isinstance(error, TransientError):
                for one in tried:
                    one.suspected = True
            self._tell(owned, error, owned.failed())
            return False
        [alone] = tried
        pause = alone.failed()
        self._tell(owned, error, owned.failed() if told else pause, alone.failures)
        if alone.failures < ATTEMPTS or not is_poison(error):
            return False
        try:
            result = self._applier.give_up(owned, told, waiting, error)
        except Exception as again:  # noqa: BLE001 - an outage, or what nobody thought of: it is tried again
            self._tell(owned, again, owned.failed())
            return False
        return result is not None and self._applied(owned, told, waiting, result)

    def _pop(self, owned: OwnedPartition, waiting: Waiting) -> None:
        """A row batch was dealt with: its offset may follow when that is durable."""
        self._applier.offsets.add(owned.number, waiting.offset + 1)
        owned.queue.popleft()
        if len(owned.queue) == _QUEUED_MESSAGES // 2:
            self._rows.resume([owned.number])

    def _ahead(self, owned: OwnedPartition, waiting: Waiting, state: PartitionState) -> bool:
        """A message whose forerunner we don't see. Read again from the committed offset, once for each place of the fence; what is ahead then
        has no forerunner before it in the log: drop it and await what the flow publishes, or has published, again."""
        place = state.floor, state.fence_of(state.floor + 1)
        if owned.gap_at != place:
            owned.gap_at = place
            self._start_again(owned)
            return False
        log.warning(
            "domain %s, partition %d, offset %d: ahead of the fence; dropped and awaited", self.domain, owned.number, waiting.offset
        )
        self._pop(owned, waiting)
        return True

    def _fetch_new(self) -> None:
        """A partition that left us while its queue was full is paused when it comes back: the client remembers, for ever."""
        fresh = [owned for owned in self._owned.values() if not owned.fetched]
        if fresh and self._rows.resume(owned.number for owned in fresh):
            for owned in fresh:
                owned.fetched = True

    def _find_lost(self) -> None:
        """Partitions of which Redis lost what we had applied, seen without a message that would have told us."""
        for number in self._applier.offsets.take_lost():
            if number in self._owned:
                self._start_again(self._owned[number])

    def _start_again(self, owned: OwnedPartition) -> None:
        """Forget what we knew of a partition: it is taken over again, and read from its committed offset."""
        log.warning("domain %s, partition %d: not as we knew it; reading it again", self.domain, owned.number)
        self._applier.forget([owned.number])
        self._applier.forget_plans()
        owned.state = None
        owned.queue.clear()
        owned.astray = True
        self._read_again(owned)

    def _read_again(self, owned: OwnedPartition) -> None:
        """Until it succeeds nothing of the partition is applied: better read nothing than from the wrong place."""
        try:
            self._move(owned, self._rows.committed_place(owned.number))
        except HeadraceError as error:
            self._tell(owned, error, owned.failed())
        else:
            owned.astray = False

    def _move(self, owned: OwnedPartition, offset: int) -> None:
        """Read a partition from here on."""
        self._rows.move(owned.number, offset)
        owned.read_upto = offset - 1

    def _tell(self, owned: OwnedPartition, error: Exception, pause: float, attempts: int = 0) -> None:
        """Of a failure, without what an unknown error says: it may quote a cell."""
        metrics.FAILURES.labels(self.domain, code_of(error)).inc()
        known = isinstance(error, HeadraceError)
        log.log(
            logging.WARNING if known else logging.ERROR,
            "domain %s, partition %d, %s: %s; attempt %d, next in %.1f s%s",
            self.domain,
            owned.number,
            f"offset {owned.queue[0].offset}" if owned.queue else "no message",
            error if known else type(error).__name__,
            attempts or owned.attempts,
            pause,
            "" if known else "\n" + "".join(traceback.format_tb(error.__traceback__)),
        )

    def _not_committed(self, number: int, offset: int) -> None:
        if number in self._owned:
            self._applier.offsets.put_back(number, offset)

    def _assigned(self, _consumer: Any, places: list[Any]) -> None:
        for place in places:
            self._owned[place.partition] = OwnedPartition(place.partition)
        self._neighbours.assign(place.partition for place in places)
        log.info("domain %s: %d partitions more, %d in all", self.domain, len(places), len(self._owned))

    def _revoked(self, _consumer: Any, places: list[Any]) -> None:
        self._give_back([place.partition for place in places])

    def _lost(self, _consumer: Any, places: list[Any]) -> None:
        """Somebody else owns them by now: nothing of ours may be committed."""
        self._drop([place.partition for place in places])

    def _give_back(self, numbers: list[int]) -> None:
        try:
            self._applier.offsets.settle()
        except HeadraceError as error:
            log.warning("domain %s: %s; the next owner reads these batches again", self.domain, error)
        self._rows.commit_now(self._durable())
        self._drop(numbers)

    def _drop(self, numbers: list[int]) -> None:
        self._applier.forget(numbers)
        self._neighbours.unassign(number for number in numbers if number in self._owned)
        for number in numbers:
            self._owned.pop(number, None)
        log.info("domain %s: %d partitions less, %d in all", self.domain, len(numbers), len(self._owned))
