"""What lies in the dead-letter topic of a domain, as a person would read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from headrace.settings import KafkaSettings
from streaming.kafka import client_config, dead_letters_topic

_SECONDS = 60


@dataclass(frozen=True)
class ReadLetter:
    value: bytes
    headers: dict[str, str]


def read_dead_letters(settings: KafkaSettings, domain: str) -> list[ReadLetter]:
    """All there are now, oldest first."""
    reading: Any = Consumer({**client_config(settings), "group.id": f"look-{domain}", "enable.auto.commit": False})
    place = TopicPartition(dead_letters_topic(settings, domain), 0, 0)
    found: list[ReadLetter] = []
    try:
        _, end = reading.get_watermark_offsets(place, timeout=_SECONDS)
        reading.assign([place])
        while len(found) < end:
            message = reading.poll(_SECONDS)
            assert message is not None, f"{len(found)} of {end} dead letters"
            assert message.error() is None, message.error()
            found.append(ReadLetter(message.value() or b"", {name: value.decode() for name, value in message.headers() or []}))
    finally:
        reading.close()
    return found
