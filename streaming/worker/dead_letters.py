"""The dead-letter topic of a domain: the bytes of messages that were given up, with the reason, for a person to look at and to play again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from headrace.errors import HeadraceError, TransientError
from headrace.failpoints import step
from headrace.settings import KafkaSettings
from streaming import metrics
from streaming.envelope import decode_header
from streaming.kafka import dead_letter_config, dead_letters_topic

_SECONDS = 15.0

log = logging.getLogger("headrace.worker")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """`code`: why it was given up, after so many `attempts`; `topic`, `partition`, `offset`: where it stands."""

    value: bytes
    code: str
    topic: str
    partition: int
    offset: int
    attempts: int

    def headers(self, domain: str) -> dict[str, str]:
        """Without anything of what the message holds but its own header."""
        place = {"topic": self.topic, "partition": str(self.partition), "offset": str(self.offset)}
        return {"domain": domain, "code": self.code, "attempts": str(self.attempts), **place, **_described(self.value)}


def _described(value: bytes) -> dict[str, str]:
    """Which message it is, where it says so."""
    try:
        header, _ = decode_header(value)
    except Exception:  # noqa: BLE001 - whatever keeps it from being read is why it is here
        return {}
    return {"import_seq": str(header.import_seq), "number": str(header.number), "kind": header.kind, "source": str(header.source)}


class DeadLetters:
    """`publish` returns when Kafka has confirmed the letter. Twice, after a crash, is harmless: letters say what they are."""

    def __init__(self, settings: KafkaSettings, domain: str) -> None:
        self._settings = settings
        self._domain = domain
        self._topic = dead_letters_topic(settings, domain)

    def publish(self, letter: DeadLetter) -> None:
        """Raises TransientError: then nothing may be given up yet."""
        headers = letter.headers(self._domain)
        with step("dead_letter"):
            try:
                self._send(letter.value, headers)
            except _TooLargeError:
                # With its headers it does not fit into a message any more: they say where it stands.
                self._send(b"", {**headers, "left_out": str(len(letter.value))})
        metrics.DEAD_LETTERS.labels(self._domain, letter.code).inc()

    def _send(self, value: bytes, headers: dict[str, str]) -> None:
        refused: list[KafkaError | None] = []
        try:
            # One for each letter: letters are rare, and a producer that nobody needs costs a thread and its connections.
            producer: Any = Producer(dead_letter_config(self._settings))
            producer.produce(
                self._topic, value, partition=0, headers=list(headers.items()), on_delivery=lambda refusal, _: refused.append(refusal)
            )
            producer.flush(_SECONDS)
        except KafkaException as error:
            refused = [error.args[0]]
        if refused == [None]:
            return
        why = refused[0] if refused else None
        if why is not None and why.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            raise _TooLargeError
        said = "no answer" if why is None else why.str()
        raise TransientError(f"Kafka did not take a dead letter of domain {self._domain}: {said}.", code="KAFKA_UNAVAILABLE")


class _TooLargeError(HeadraceError):
    """The broker takes no message of this size."""

    code = "TOO_LARGE"

    def __init__(self) -> None:
        super().__init__("A dead letter is larger than Kafka takes.")
