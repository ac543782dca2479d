"""The topic of a domain: as many partitions as the domain has, for ever (DESIGN §1, idea 3)."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from headrace.errors import TerminalError, TransientError
from headrace.settings import KafkaSettings
from streaming.kafka import client_config, rows_topic

_SECONDS = 30.0


def make_topic(settings: KafkaSettings, domain: str, partitions: int) -> None:
    """Create the domain's topic; one that is there must have the domain's partitions. Raises TerminalError, TransientError."""
    name = rows_topic(settings, domain)
    admin = AdminClient(client_config(settings))
    created = admin.create_topics(
        [NewTopic(name, num_partitions=partitions, replication_factor=settings.replication_factor)], request_timeout=_SECONDS
    )
    try:
        created[name].result(_SECONDS)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise TransientError(f"Kafka did not create topic {name}: {error.args[0].str()}.", code="KAFKA_UNAVAILABLE") from error
        there = partitions_of(settings, domain)
        if there != partitions:
            raise TerminalError(
                f"Topic {name} has {there} partitions, domain {domain} has {partitions}.",
                code="WRONG_TOPIC",
                hint="Delete the topic if nothing in it is still to be imported; it is made again.",
            ) from error


def partitions_of(settings: KafkaSettings, domain: str) -> int:
    """How many partitions the domain's topic has; 0 where it does not exist."""
    name = rows_topic(settings, domain)
    try:
        found = AdminClient(client_config(settings)).list_topics(name, timeout=_SECONDS).topics.get(name)
    except KafkaException as error:
        raise TransientError(f"Kafka did not answer: {error.args[0].str()}.", code="KAFKA_UNAVAILABLE") from error
    return 0 if found is None or found.error is not None else len(found.partitions)
