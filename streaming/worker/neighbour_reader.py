"""The topic in which partitions tell each other, read from its end: what is missed stays in its sender's outbox and comes again."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from headrace.settings import KafkaSettings
from streaming.kafka import neighbour_config, neighbours_topic
from streaming.worker.owned import Waiting

log = logging.getLogger("headrace.worker")


class NeighbourReader:
    """Reads the partitions that it is given, and no group's: who owns a partition of the row batches owns this one too."""

    def __init__(self, settings: KafkaSettings, domain: str) -> None:
        self._domain = domain
        self._topic = neighbours_topic(settings, domain)
        self._consumer = Consumer(neighbour_config(settings, domain))

    def assign(self, partitions: Iterable[int]) -> None:
        self._consumer.incremental_assign([TopicPartition(self._topic, number, OFFSET_END) for number in partitions])

    def unassign(self, partitions: Iterable[int]) -> None:
        self._consumer.incremental_unassign([TopicPartition(self._topic, number) for number in partitions])

    def read(self, most: int, seconds: float) -> list[tuple[int, Waiting]]:
        """(partition, message): at most `most`, waiting at most `seconds`. Kafka's errors pass: the outbox has what they cost."""
        try:
            messages = self._consumer.consume(most, seconds)
        except KafkaException as error:
            log.warning("domain %s: Kafka: %s", self._domain, error.args[0].str())
            return []
        return [
            (message.partition() or 0, Waiting(self._topic, message.offset() or 0, message.value() or b""))
            for message in messages
            if message.error() is None
        ]

    def close(self) -> None:
        self._consumer.close()
