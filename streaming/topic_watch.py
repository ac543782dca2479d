"""Topics that are deleted and made again under a running client.

Kafka's client (librdkafka 2.16) follows a topic by its name and holds that a leader's epoch only grows. A topic made again begins at epoch 0, so where a
broker was ever restarted the client takes the new leaders for old news, and neither reads nor writes any more, without an error (librdkafka knows topics by
their ids only inside one request). Whoever runs long watches the ids, and makes new clients when one has changed.
"""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from headrace.settings import KafkaSettings
from streaming.kafka import client_config

_LOOK_SECONDS = 2.0
_ANSWER_SECONDS = 10.0


class TopicWatch:
    """Asks Kafka for the topics' ids now and then, without ever waiting for the answer."""

    def __init__(self, settings: KafkaSettings, *topics: str) -> None:
        self._topics = topics
        self._admin: Any = AdminClient(client_config(settings))
        self._ids: dict[str, str] = {}
        self._asked: dict[str, Future[Any]] = {}
        self._next = 0.0

    def made_again(self) -> str | None:
        """A topic that is not the one it was when it was first seen."""
        for topic, answer in list(self._asked.items()):
            if answer.done():
                del self._asked[topic]
                found = _id_of(answer)
                if found is not None and self._ids.setdefault(topic, found) != found:
                    return topic
        if not self._asked and time.monotonic() >= self._next:
            self._next = time.monotonic() + _LOOK_SECONDS
            self._asked = self._admin.describe_topics(TopicCollection(list(self._topics)), request_timeout=_ANSWER_SECONDS)
        return None


def _id_of(answer: Future[Any]) -> str | None:
    """None: the topic is not there, or Kafka does not say."""
    try:
        return str(answer.result().topic_id)
    except KafkaException:
        return None
