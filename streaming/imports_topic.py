"""The imports of a domain as Kafka remembers them: a topic of one partition, compacted, the registration's JSON under its number (SPEC R5).

It is what is left of an import where Redis comes back from a backup. It is written in the order of the numbers, without a gap: who knows its highest
number knows how far it goes. At the end of an import it is written once more, with how it ended in a header.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from headrace.errors import TransientError
from headrace.settings import KafkaSettings
from profile_store.registration import Registration
from streaming.kafka import client_config, imports_topic, producer_config

_SECONDS = 30.0
_LOOK_BACK = 100
"""Messages: drivers that woke late may have written some behind the newest."""
_END = "end"
_UNKNOWN = (KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART)


@dataclass(frozen=True, slots=True)
class KnownImport:
    """`end`: COMPLETE or FAILED; empty where Kafka was not told: it is open, or was begun by a release that did not tell."""

    registration: Registration
    end: str = ""


def write_imports(settings: KafkaSettings, imports: Iterable[KnownImport]) -> None:
    """In their order, the next only when Kafka has confirmed the one before: a gap would never be closed. Raises TransientError."""
    producer, failed = Producer({**producer_config(settings), "linger.ms": 0, "enable.idempotence": False}), list[KafkaError]()

    def delivered(error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            failed.append(error)

    for known in imports:
        one = known.registration
        headers: dict[str, str | bytes | None] = {_END: known.end.encode()} if known.end else {}
        topic = imports_topic(settings, one.domain)
        try:
            producer.produce(
                topic, one.as_json().encode(), str(one.import_seq).encode(), partition=0, headers=headers, on_delivery=delivered
            )
        except KafkaException as error:
            raise _unavailable("take", error) from error
        if producer.flush(_SECONDS) or failed:
            producer.purge()
            raise _unavailable("take", failed[0].str() if failed else "no answer")


def last_registration(settings: KafkaSettings, domain: str) -> Registration | None:
    """The one with the highest number; None where the topic is empty, or not there.

    It need not be the last that was written: a driver that slept between its look and its writing writes behind newer ones.
    """
    with _reader(settings) as consumer:
        found = [one.registration for one in _read(consumer, imports_topic(settings, domain), domain, last=_LOOK_BACK)]
    return max(reversed(found), key=lambda one: one.import_seq, default=None)


def read_imports(settings: KafkaSettings, domain: str) -> dict[int, KnownImport]:
    """All of them by their numbers, in order. Raises UnsupportedFormatError, TransientError."""
    found: dict[int, KnownImport] = {}
    with _reader(settings) as consumer:
        for one in _read(consumer, imports_topic(settings, domain), domain):
            before = found.get(one.registration.import_seq)
            same = before is not None and before.registration.token == one.registration.token
            # A driver that slept may have written behind its import's end that it begins.
            found[one.registration.import_seq] = before if before is not None and same and before.end and not one.end else one
    return dict(sorted(found.items()))


@contextmanager
def _reader(settings: KafkaSettings) -> Iterator[Any]:
    """A consumer that joins no group: it reads from where it is told, and commits nothing."""
    group = f"{settings.topic_prefix}.imports"
    consumer: Any = Consumer({**client_config(settings), "group.id": group, "enable.auto.commit": False, "enable.partition.eof": True})
    try:
        yield consumer
    except KafkaException as error:
        raise _unavailable("give", error) from error
    finally:
        consumer.close()


def _read(consumer: Any, topic: str, domain: str, last: int | None = None) -> Iterator[KnownImport]:
    """Up to the end as it is now; `last`: only so many."""
    low, end = _watermarks(consumer, topic)
    place = low if last is None else max(low, end - last)
    if place >= end:
        return
    consumer.assign([TopicPartition(topic, 0, place)])
    while place < end:
        message = consumer.poll(_SECONDS)
        if message is None:
            raise _unavailable("give", "no answer")
        refused = message.error()
        if refused is not None:
            if refused.code() == KafkaError._PARTITION_EOF:
                return
            raise KafkaException(refused)
        place = message.offset() + 1
        if message.value() is not None:
            how = dict(message.headers() or ()).get(_END, b"")
            yield KnownImport(Registration.from_json(domain, int(message.key()), message.value().decode()), how.decode())


def _watermarks(consumer: Any, topic: str) -> tuple[int, int]:
    """The first offset, and the one that comes next; equal where the topic is empty, or not there.

    The offsets are asked for first: to ask a new connection which topics there are takes 50 ms, which an import's run would wait for three times.
    """
    place = TopicPartition(topic, 0)
    try:
        low, end = consumer.get_watermark_offsets(place, timeout=_SECONDS)
    except KafkaException as error:
        if error.args[0].code() not in _UNKNOWN:
            raise
    else:
        return low, end
    there = consumer.list_topics(topic, timeout=_SECONDS).topics.get(topic)
    if there is None or there.error is not None or not there.partitions:
        return 0, 0
    low, end = consumer.get_watermark_offsets(place, timeout=_SECONDS)
    return low, end


def _unavailable(what: str, why: object) -> TransientError:
    said = why.args[0].str() if isinstance(why, KafkaException) else str(why)
    return TransientError(f"Kafka did not {what} the registrations of imports: {said}.", code="KAFKA_UNAVAILABLE")
