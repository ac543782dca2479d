"""The topics of a domain: as many partitions as the domain has, for ever (DESIGN §1, idea 3); and one that remembers its imports."""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from headrace.errors import HeadraceError, TerminalError, TransientError
from headrace.settings import KafkaSettings
from streaming.kafka import client_config, dead_letters_topic, domain_of_imports_topic, imports_topic, neighbours_topic, rows_topic

_SECONDS = 30.0
_LOOK_SECONDS = 0.1
_KNOCK_SECONDS = 2.0


class _Asking:
    """A client for questions about topics, and what it heard meanwhile: why a broker refuses us is told to its callback alone."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.refused: KafkaError | None = None
        config: Any = {**client_config(settings), "error_cb": self._heard}
        self.admin = AdminClient(config)

    def _heard(self, error: KafkaError) -> None:
        if error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL):
            self.refused = error

    def topics(self) -> dict[str, Any]:
        """Name → what there is, of all topics: to ask for one by its name creates it, where brokers are set so.

        Raises TransientError when nobody answers; TerminalError as soon as we are not let in.
        """
        until = time.monotonic() + _SECONDS
        while True:
            try:
                found: dict[str, Any] = self.admin.list_topics(timeout=_KNOCK_SECONDS).topics
            except KafkaException as error:
                self.admin.poll(0)
                if self.refused is not None or time.monotonic() > until:
                    raise self.error("Kafka did not answer", error) from error
            else:
                return found

    def error(self, what: str, error: KafkaException) -> HeadraceError:
        """`what` failed: because we are not let in, or an outage."""
        if self.refused is not None:
            how = "credentials" if self.refused.code() == KafkaError._AUTHENTICATION else "TLS connection"
            return TerminalError(
                f"Kafka and Headrace do not agree on the {how}: {self.refused.str()[:200]}.",
                code="KAFKA_DENIED",
                hint="Check HEADRACE_KAFKA_SECURITY_PROTOCOL, …_SASL_* and …_CA_FILE against the brokers' listeners.",
            )
        return TransientError(f"{what}: {error.args[0].str()}.", code="KAFKA_UNAVAILABLE")


def make_topics(settings: KafkaSettings, domain: str, partitions: int) -> None:
    """Create the domain's topics; those that are there must have their number of partitions. Raises TerminalError, TransientError."""
    wanted = [
        _topic(settings, rows_topic(settings, domain), partitions, {}),
        _topic(settings, neighbours_topic(settings, domain), partitions, {}),
        _topic(settings, imports_topic(settings, domain), 1, {"cleanup.policy": "compact"}),
        _topic(settings, dead_letters_topic(settings, domain), 1, {}),
    ]
    asking = _Asking(settings)  # held on to: its answers end with it
    asking.topics()
    for topic in wanted:
        _make(asking, topic, domain)


def _make(asking: _Asking, topic: NewTopic, domain: str) -> None:
    """One that exists and has no size yet was made a moment ago, or is being deleted: no reason to fail an import."""
    until = time.monotonic() + _SECONDS
    while True:
        try:
            asking.admin.create_topics([topic], request_timeout=_SECONDS)[topic.topic].result(_SECONDS)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise asking.error(f"Kafka did not create topic {topic.topic}", error) from error
        else:
            return
        there = _partitions_of(asking, topic.topic)
        if there == topic.num_partitions:
            return
        if there:
            raise TerminalError(
                f"Topic {topic.topic} has {there} partitions; domain {domain} needs {topic.num_partitions}.",
                code="WRONG_TOPIC",
                hint="Delete the topic if nothing in it is still to be imported; it is made again.",
            )
        if time.monotonic() > until:
            raise TransientError(f"Kafka says that topic {topic.topic} exists, and does not show it.", code="KAFKA_UNAVAILABLE")
        time.sleep(_LOOK_SECONDS)


def partitions_of(settings: KafkaSettings, topic: str) -> int:
    """How many partitions a topic has; 0 where it does not exist."""
    return _partitions_of(_Asking(settings), topic)


def _partitions_of(asking: _Asking, topic: str) -> int:
    found = asking.topics().get(topic)
    return 0 if found is None or found.error is not None else len(found.partitions)


def domains_with_imports_topic(settings: KafkaSettings) -> set[str]:
    """Whether or not there is anything in it."""
    return {domain for topic in _Asking(settings).topics() if (domain := domain_of_imports_topic(settings, topic)) is not None}


def _topic(settings: KafkaSettings, name: str, partitions: int, config: dict[str, str]) -> NewTopic:
    return NewTopic(name, num_partitions=partitions, replication_factor=settings.replication_factor, config=config)
