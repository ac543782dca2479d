"""The loop of one domain: the steps of a merge worker, wired.

One thread reads from Kafka, applies batch after batch, and commits the offsets that have become durable. A partition that fails is paused
alone and tried again with growing pauses; nothing is skipped over.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from headrace.errors import HeadraceError, TransientError
from headrace.settings import KafkaSettings
from profile_store import partitions
from profile_store.durability import barrier, partition_marks
from profile_store.store import Store
from streaming import metrics
from streaming.kafka import consumer_config, rows_topic
from streaming.worker.batch import Result, Verdict, apply_message
from streaming.worker.durable_offsets import DurableOffsets
from streaming.worker.owned import OwnedPartition, Waiting
from streaming.worker.plans import Plans

log = logging.getLogger("headrace.worker")

_POLL_SECONDS = 0.1
_POLL_MESSAGES = 16
_QUEUED_MESSAGES = 8
"""A partition with more than this waiting is not fetched until it has caught up."""


class DomainWorker:
    """`run()` until `stop()`; then what is under way is finished, made durable, committed, and the partitions are given back."""

    def __init__(self, domain: str, store: Store, settings: KafkaSettings) -> None:
        self.domain = domain
        self._store = store
        self._settings = settings
        self._topic = rows_topic(settings, domain)
        self._plans = Plans(store, domain)
        self._owned: dict[int, OwnedPartition] = {}
        self._stopping = threading.Event()
        self._beat = time.monotonic()
        self._consumer: Any = None
        self._offsets: DurableOffsets | None = None

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

    def run(self) -> None:
        self._offsets = DurableOffsets(self._store, self.domain)
        self._consumer = Consumer({**consumer_config(self._settings, self.domain), "on_commit": self._committed})
        try:
            self._consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
            while not self._stopping.is_set():
                self._turn()
            self._give_back(list(self._owned))
        finally:
            self._consumer.close()
            self._offsets.stop()
            log.info("domain %s: stopped", self.domain)

    def _turn(self) -> None:
        self._beat = time.monotonic()
        self._read()
        self._fetch_new()
        self._find_lost()
        for owned in list(self._owned.values()):
            if owned.astray and owned.ready:
                self._read_again(owned)
            while owned.queue and owned.ready and not self._stopping.is_set():
                if not self._attempt(owned):
                    break
        self._commit_durable()
        metrics.PARTITIONS.labels(self.domain).set(len(self._owned))
        metrics.PAUSED.labels(self.domain).set(sum(owned.paused for owned in self._owned.values()))
        metrics.NOT_DURABLE.labels(self.domain).set(self._durable_offsets.waiting())

    @property
    def _durable_offsets(self) -> DurableOffsets:
        if self._offsets is None:
            raise RuntimeError("the worker runs only inside run()")
        return self._offsets

    def _read(self) -> None:
        busy = any(owned.queue and owned.ready for owned in self._owned.values())
        try:
            messages = self._consumer.consume(_POLL_MESSAGES, 0 if busy else _POLL_SECONDS)
        except KafkaException as error:
            log.warning("domain %s: Kafka: %s", self.domain, error.args[0].str())
            return
        for message in messages:
            refused = message.error()
            if refused is not None:
                if refused.code() not in (KafkaError._PARTITION_EOF, KafkaError.UNKNOWN_TOPIC_OR_PART):
                    log.warning("domain %s: Kafka: %s", self.domain, refused.str())
                continue
            owned = self._owned.get(message.partition())
            if owned is not None and not owned.astray:
                owned.queue.append(Waiting(message.offset(), message.value() or b""))
                if len(owned.queue) == _QUEUED_MESSAGES:
                    self._consumer.pause([TopicPartition(self._topic, owned.number)])

    def _attempt(self, owned: OwnedPartition) -> bool:
        """Apply the first waiting message of a partition; whether the next may follow at once."""
        waiting = owned.queue[0]
        try:
            with metrics.BATCH_SECONDS.labels(self.domain).time():
                result = self._apply(owned, waiting)
        except Exception as error:  # noqa: BLE001 - whatever it is, the partition waits and nothing is skipped
            self._failed(owned, error)
            return False
        owned.state = result.state
        owned.went_well()
        match result.verdict:
            case Verdict.DONE:
                self._durable_offsets.add(owned.number, waiting.offset + 1, result.applied)
                self._pop(owned)
                return True
            case Verdict.LOST:
                self._start_again(owned)
                return False
            case Verdict.AHEAD:
                return self._ahead(owned, waiting, result)

    def _apply(self, owned: OwnedPartition, waiting: Waiting) -> Result:
        if owned.state is None:
            state = partitions.take_over(self._store, self.domain, owned.number)
            # Only when our token is durable may we skip, publish or commit: else a Redis that loses its last second brings the owner before
            # us back.
            barrier(self._store, partition_marks(self.domain, [owned.number]))
            owned.state = state
        return apply_message(self._store, self._plans, owned.state, waiting.value)

    def _pop(self, owned: OwnedPartition) -> None:
        owned.queue.popleft()
        if len(owned.queue) == _QUEUED_MESSAGES // 2:
            self._consumer.resume([TopicPartition(self._topic, owned.number)])

    def _ahead(self, owned: OwnedPartition, waiting: Waiting, result: Result) -> bool:
        """A message whose forerunner we don't see. Read again from the committed offset, once for each place of the fence; what is ahead then
        has no forerunner before it in the log: drop it and await what the flow publishes, or has published, again."""
        place = result.state.floor, result.applied[1]
        if owned.gap_at != place:
            owned.gap_at = place
            self._start_again(owned)
            return False
        log.warning(
            "domain %s, partition %d, offset %d: ahead of the fence; dropped and awaited", self.domain, owned.number, waiting.offset
        )
        self._durable_offsets.add(owned.number, waiting.offset + 1, result.applied)
        self._pop(owned)
        return True

    def _fetch_new(self) -> None:
        """A partition that left us while its queue was full is paused when it comes back: the client remembers, for ever."""
        places = [TopicPartition(self._topic, owned.number) for owned in self._owned.values() if not owned.fetched]
        if not places:
            return
        try:
            self._consumer.resume(places)
        except KafkaException as error:
            log.warning("domain %s: partitions not resumed yet: %s", self.domain, error.args[0].str())
            return
        for place in places:
            self._owned[place.partition].fetched = True

    def _find_lost(self) -> None:
        """Partitions of which Redis lost what we had applied, seen without a message that would have told us."""
        for number in self._durable_offsets.take_lost():
            if number in self._owned:
                self._start_again(self._owned[number])

    def _start_again(self, owned: OwnedPartition) -> None:
        """Forget what we knew of a partition: it is taken over again, and read from its committed offset."""
        log.warning("domain %s, partition %d: not as we knew it; reading it again", self.domain, owned.number)
        self._durable_offsets.forget([owned.number])
        self._plans.forget()
        owned.state = None
        owned.queue.clear()
        owned.astray = True
        self._read_again(owned)

    def _read_again(self, owned: OwnedPartition) -> None:
        """Until it succeeds nothing of the partition is applied: better read nothing than from the wrong place."""
        try:
            self._seek(owned)
        except HeadraceError as error:
            self._failed(owned, error)
        else:
            owned.astray = False

    def _seek(self, owned: OwnedPartition) -> None:
        place = TopicPartition(self._topic, owned.number)
        try:
            committed = self._consumer.committed([place], timeout=10)[0].offset
            place.offset = committed if committed >= 0 else self._consumer.get_watermark_offsets(place, timeout=10)[0]
            self._consumer.seek(place)
            self._consumer.resume([place])
        except KafkaException as error:
            raise TransientError(
                f"Kafka did not let partition {owned.number} be read again: {error.args[0].str()}.", code="KAFKA_UNAVAILABLE"
            ) from error

    def _failed(self, owned: OwnedPartition, error: Exception) -> None:
        code = error.code if isinstance(error, HeadraceError) else type(error).__name__
        metrics.FAILURES.labels(self.domain, code).inc()
        pause = owned.failed()
        known = isinstance(error, HeadraceError)
        log.log(
            logging.WARNING if known else logging.ERROR,
            "domain %s, partition %d, %s: %s; attempt %d, next in %.1f s",
            self.domain,
            owned.number,
            f"offset {owned.queue[0].offset}" if owned.queue else "no message",
            error if known else type(error).__name__,
            owned.attempts,
            pause,
            exc_info=not known,
        )

    def _commit_durable(self) -> None:
        durable = self._durable_offsets.take()
        places = [TopicPartition(self._topic, number, offset) for number, offset in durable.items() if number in self._owned]
        if places:
            self._commit(lambda: self._consumer.commit(offsets=places, asynchronous=True))

    def _commit(self, commit: Callable[[], object]) -> None:
        """An offset that is not committed only means that its batch is read, and skipped, again."""
        try:
            commit()
        except KafkaException as error:
            log.warning("domain %s: offsets not committed: %s", self.domain, error.args[0].str())

    def _committed(self, error: KafkaError | None, places: list[Any]) -> None:
        """What became of an asynchronous commit. One that fell into a rebalance would stay undone if no message followed."""
        for place in places:
            if (error is not None or place.error is not None) and place.partition in self._owned and place.offset >= 0:
                self._durable_offsets.put_back(place.partition, place.offset)

    def _assigned(self, _consumer: Any, places: list[Any]) -> None:
        for place in places:
            self._owned[place.partition] = OwnedPartition(place.partition)
        log.info("domain %s: %d partitions more, %d in all", self.domain, len(places), len(self._owned))

    def _revoked(self, _consumer: Any, places: list[Any]) -> None:
        self._give_back([place.partition for place in places])

    def _lost(self, _consumer: Any, places: list[Any]) -> None:
        """Somebody else owns them by now: nothing of ours may be committed."""
        self._drop([place.partition for place in places])

    def _give_back(self, numbers: list[int]) -> None:
        try:
            self._durable_offsets.settle()
        except HeadraceError as error:
            log.warning("domain %s: %s; the next owner reads these batches again", self.domain, error)
        durable = self._durable_offsets.take()
        places = [TopicPartition(self._topic, number, offset) for number, offset in durable.items() if number in self._owned]
        if places:
            self._commit(lambda: self._consumer.commit(offsets=places, asynchronous=False))
        self._drop(numbers)

    def _drop(self, numbers: list[int]) -> None:
        self._durable_offsets.forget(numbers)
        for number in numbers:
            self._owned.pop(number, None)
        log.info("domain %s: %d partitions less, %d in all", self.domain, len(numbers), len(self._owned))
