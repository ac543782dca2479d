"""The topic of row batches, read as one of the domain's group: where each partition is read, and what is committed of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from headrace.errors import TransientError
from headrace.failpoints import step
from headrace.settings import KafkaSettings
from streaming.kafka import consumer_config, rows_topic

log = logging.getLogger("headrace.worker")

_PASSING = (KafkaError._PARTITION_EOF, KafkaError.UNKNOWN_TOPIC_OR_PART)
_SECONDS = 10


class RowReader:
    """`not_committed(partition, offset)` is told of every offset that an asynchronous commit did not bring to Kafka."""

    def __init__(self, settings: KafkaSettings, domain: str, not_committed: Callable[[int, int], None]) -> None:
        self._domain = domain
        self.topic = rows_topic(settings, domain)
        self._not_committed = not_committed
        self._consumer = Consumer({**consumer_config(settings, domain), "on_commit": self._committed})

    def subscribe(self, assigned: Callable[..., None], revoked: Callable[..., None], lost: Callable[..., None]) -> None:
        self._consumer.subscribe([self.topic], on_assign=assigned, on_revoke=revoked, on_lost=lost)

    def read(self, most: int, seconds: float) -> list[Message]:
        """At most `most` messages, waiting at most `seconds`; Kafka's errors are told and pass."""
        try:
            messages = self._consumer.consume(most, seconds)
        except KafkaException as error:
            self._warn(error.args[0])
            return []
        for message in messages:
            refused = message.error()
            if refused is not None and refused.code() not in _PASSING:
                self._warn(refused)
        return [message for message in messages if message.error() is None]

    def pause(self, partition: int) -> None:
        self._consumer.pause([TopicPartition(self.topic, partition)])

    def resume(self, partitions: Iterable[int]) -> bool:
        """Whether they are fetched now."""
        try:
            self._consumer.resume([TopicPartition(self.topic, number) for number in partitions])
        except KafkaException as error:
            self._warn(error.args[0])
            return False
        return True

    def committed_place(self, partition: int) -> int:
        """Where the group reads a partition on: at its committed offset, or where the log begins. Raises TransientError."""
        place = TopicPartition(self.topic, partition)
        try:
            committed = self._consumer.committed([place], timeout=_SECONDS)[0].offset
            first, end = self._consumer.get_watermark_offsets(place, timeout=_SECONDS)
        except KafkaException as error:
            raise _unreadable(partition, error) from error
        return committed if first <= committed <= end else first

    def move(self, partition: int, offset: int) -> None:
        """Read a partition from here on. Raises TransientError."""
        place = TopicPartition(self.topic, partition, offset)
        try:
            self._consumer.seek(place)
            self._consumer.resume([place])
        except KafkaException as error:
            raise _unreadable(partition, error) from error

    def commit_soon(self, offsets: dict[int, int]) -> None:
        """Commit offsets of the next messages, by partition, without waiting."""
        self._commit(offsets, lambda places: self._consumer.commit(offsets=places, asynchronous=True))

    def commit_now(self, offsets: dict[int, int]) -> None:
        self._commit(offsets, lambda places: self._consumer.commit(offsets=places, asynchronous=False))

    def _commit(self, offsets: dict[int, int], commit: Callable[[list[TopicPartition]], list[TopicPartition] | None]) -> None:
        """An offset that is not committed only means that its batch is read, and skipped, again; it is told like those of an asynchronous commit."""
        if not offsets:
            return
        places = [TopicPartition(self.topic, number, offset) for number, offset in offsets.items()]
        try:
            with step("offset_commit"):
                self._committed(None, commit(places) or [])
        except KafkaException as error:
            log.warning("domain %s: offsets not committed: %s", self._domain, error.args[0].str())
            self._committed(error.args[0], places)

    def _committed(self, error: KafkaError | None, places: list[Any]) -> None:
        """What became of a commit. One that fell into a rebalance would stay undone if no message followed."""
        for place in places:
            if (error is not None or place.error is not None) and place.offset >= 0:
                self._not_committed(place.partition, place.offset)

    def close(self) -> None:
        self._consumer.close()

    def _warn(self, error: KafkaError) -> None:
        log.warning("domain %s: Kafka: %s", self._domain, error.str())


def _unreadable(partition: int, error: KafkaException) -> TransientError:
    return TransientError(f"Kafka did not let partition {partition} be read again: {error.args[0].str()}.", code="KAFKA_UNAVAILABLE")
