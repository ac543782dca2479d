"""Names and client settings of Kafka: one place for what publisher, workers and topics must agree on."""

from __future__ import annotations

from typing import Any

from headrace.settings import KafkaSettings

MESSAGE_BYTES = 1_000_000
"""Kafka's own default limit of a message; the splitter stays below it."""


def rows_topic(settings: KafkaSettings, domain: str) -> str:
    """`~`, which stands in the names of group domains, is not for Kafka; no name of ours has a dot."""
    return f"{settings.topic_prefix}.rows.{domain.replace('~', '.')}"


def merge_group(settings: KafkaSettings, domain: str) -> str:
    return f"{settings.topic_prefix}.merge.{domain.replace('~', '.')}"


def client_config(settings: KafkaSettings) -> dict[str, Any]:
    return {"bootstrap.servers": settings.bootstrap_servers, "socket.keepalive.enable": True, "log_level": 3}


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
        "fetch.wait.max.ms": 100,
    }
