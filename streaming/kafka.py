"""Names and client settings of Kafka: one place for what publisher, workers and topics must agree on."""

from __future__ import annotations

from typing import Any

from headrace.settings import KafkaSettings

MESSAGE_BYTES = 1_000_000
"""Kafka's own default limit of a message; the splitter stays below it."""


def rows_topic(settings: KafkaSettings, domain: str) -> str:
    """`~`, which stands in the names of group domains, is not for Kafka; no name of ours has a dot."""
    return f"{settings.topic_prefix}.rows.{domain.replace('~', '.')}"


def neighbours_topic(settings: KafkaSettings, domain: str) -> str:
    """In which the partitions of a domain tell each other. It keeps nothing that is not in Redis too."""
    return f"{settings.topic_prefix}.neighbours.{domain.replace('~', '.')}"


def imports_topic(settings: KafkaSettings, domain: str) -> str:
    """The registration of every import that was begun, by its number: what `headrace recover` reads."""
    return f"{settings.topic_prefix}.imports.{domain.replace('~', '.')}"


def domain_of_imports_topic(settings: KafkaSettings, topic: str) -> str | None:
    prefix = f"{settings.topic_prefix}.imports."
    return topic.removeprefix(prefix).replace(".", "~") if topic.startswith(prefix) else None


def dead_letters_topic(settings: KafkaSettings, domain: str) -> str:
    """What workers gave up, with the reason in the headers; one partition."""
    return f"{settings.topic_prefix}.dead.{domain.replace('~', '.')}"


def merge_group(settings: KafkaSettings, domain: str) -> str:
    return f"{settings.topic_prefix}.merge.{domain.replace('~', '.')}"


def client_config(settings: KafkaSettings) -> dict[str, Any]:
    return {"bootstrap.servers": settings.bootstrap_servers, "socket.keepalive.enable": True, "log_level": 3, **_security(settings)}


def _security(settings: KafkaSettings) -> dict[str, str]:
    found: dict[str, str] = {"security.protocol": settings.security_protocol}
    if settings.uses_sasl:
        found["sasl.mechanism"] = settings.sasl_mechanism
        found["sasl.username"] = settings.sasl_username
        found["sasl.password"] = settings.sasl_password.get_secret_value()
    if settings.uses_tls:
        found["ssl.ca.location"] = settings.ca_file
        found["ssl.certificate.location"] = settings.certificate_file
        found["ssl.key.location"] = settings.key_file
        found["ssl.key.password"] = settings.key_password.get_secret_value()
    return {name: value for name, value in found.items() if value}


def producer_config(settings: KafkaSettings) -> dict[str, Any]:
    """Confirmed by all replicas, in order, without doubles of the library's own making; the rows are compressed already."""
    return {
        **client_config(settings),
        "acks": "all",
        "enable.idempotence": True,
        "linger.ms": 5,
        "compression.type": "none",
        "queue.buffering.max.kbytes": 32_768,
        "delivery.timeout.ms": 120_000,
    }


def dead_letter_config(settings: KafkaSettings) -> dict[str, Any]:
    """Room for headers about a message that is as large as can be."""
    return {**producer_config(settings), "linger.ms": 0, "message.max.bytes": MESSAGE_BYTES + 40_000, "delivery.timeout.ms": 10_000}


def consumer_config(settings: KafkaSettings, domain: str) -> dict[str, Any]:
    """Offsets are committed by hand, when Redis has made a batch durable; a rebalance moves only the partitions that must move."""
    return {
        **client_config(settings),
        "group.id": merge_group(settings, domain),
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": settings.session_timeout_ms,
        "heartbeat.interval.ms": max(200, settings.session_timeout_ms // 4),
        "topic.metadata.refresh.interval.ms": 5_000,
        "allow.auto.create.topics": False,
        "queued.max.messages.kbytes": 16_384,
    }


def neighbour_config(settings: KafkaSettings, domain: str) -> dict[str, Any]:
    """Reads what it is given, from the end, and commits nothing."""
    return {
        **client_config(settings),
        "group.id": f"{merge_group(settings, domain)}.neighbours",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "latest",
        "topic.metadata.refresh.interval.ms": 5_000,
        "allow.auto.create.topics": False,
        "queued.max.messages.kbytes": 16_384,
    }
