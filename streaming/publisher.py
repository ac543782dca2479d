"""Messages into Kafka, each confirmed before it counts as sent."""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from headrace.errors import TransientError
from headrace.failpoints import step
from headrace.settings import KafkaSettings
from streaming.kafka import producer_config, rows_topic
from streaming.topic_watch import TopicWatch

_FLUSH_SECONDS = 120.0
_LOOK_SECONDS = 1.0


class Publisher:
    """Publishes one domain's messages. `flush` returns when all of them are confirmed, or raises TransientError; then publish all again."""

    def __init__(self, settings: KafkaSettings, domain: str) -> None:
        self._topic = rows_topic(settings, domain)
        self._watch = TopicWatch(settings, self._topic)
        self._producer = Producer(producer_config(settings))
        self._failed: KafkaError | None = None
        self.sent = 0
        self.confirmed = 0

    def publish(self, partition: int, value: bytes) -> None:
        """Hand over one message; waits while too much is in flight."""
        while True:
            self._check()
            try:
                with step("publish"):
                    self._producer.produce(self._topic, value, partition=partition, on_delivery=self._delivered)
            except BufferError:
                self._producer.poll(0.5)
                continue
            except KafkaException as error:
                raise _unavailable(error.args[0]) from error
            break
        self.sent += 1
        self._producer.poll(0)

    def flush(self) -> None:
        until = time.monotonic() + _FLUSH_SECONDS
        with step("published"):
            while (remaining := self._producer.flush(_LOOK_SECONDS)) and time.monotonic() < until:
                self._check()
        self._check()
        if remaining or self.confirmed != self.sent:
            raise TransientError(
                f"Kafka confirmed {self.confirmed} of {self.sent} messages within {_FLUSH_SECONDS:.0f} s.", code="KAFKA_UNAVAILABLE"
            )

    def close(self) -> None:
        """Let go of what is in flight."""
        self._producer.purge()
        self._producer.flush(1.0)

    def _check(self) -> None:
        if self._failed is not None:
            raise _unavailable(self._failed)
        if self._watch.made_again():
            raise TransientError(f"Topic {self._topic} was deleted and made again meanwhile.", code="TOPIC_MADE_AGAIN")

    def _delivered(self, error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            self._failed = self._failed or error
        else:
            self.confirmed += 1


def _unavailable(error: KafkaError) -> TransientError:
    return TransientError(f"Kafka did not take a message: {error.str()}.", code="KAFKA_UNAVAILABLE")
