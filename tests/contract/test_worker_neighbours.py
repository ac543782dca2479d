"""What partitions tell each other survives its topic, its sender and its receiver; told twice or out of turn it changes nothing. Real Kafka and Redis."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.failpoints import VARIABLE
from profile_store.partitions import take_over
from streaming.envelope import NEIGHBOUR, Header, encode_body
from streaming.kafka import client_config, neighbours_topic
from streaming.neighbours import CLAIM, Telling, encode_telling
from streaming.topics import make_topics, partitions_of
from streaming.worker.batch import Verdict, apply_messages
from streaming.worker.plans import Plans
from tests.contract.neighbour_streams import PARTITIONS, Crowd
from tests.contract.profile_stores import dump, owned
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually

ROWS = 3_000


@pytest.fixture
def real(valkey: ValkeyServer, apache_kafka: str, empty_s3: S3Server) -> Pipeline:
    made = pipeline(valkey.url, apache_kafka, access_to(empty_s3))
    made.make_bucket("crm")
    return made


@pytest.fixture
def crowd(real: Pipeline, domain_name: str, monkeypatch: pytest.MonkeyPatch) -> Crowd:
    monkeypatch.setattr("streaming.split.batches.BATCH_ROWS", 50)
    made = Crowd(real, domain_name)
    made.register(ROWS)
    return made


def told_so_far(crowd: Crowd) -> list[tuple[int, bytes]]:
    """Every message in the neighbours' topic: (partition, message)."""
    settings = crowd.real.settings.kafka
    topic = neighbours_topic(settings, crowd.domain)
    consumer: Any = Consumer({**client_config(settings), "group.id": "a test", "enable.auto.commit": False})
    found: list[tuple[int, bytes]] = []
    try:
        for number in range(PARTITIONS):
            place = TopicPartition(topic, number, 0)
            _, end = consumer.get_watermark_offsets(place, timeout=20)
            consumer.assign([place])
            while len([one for one in found if one[0] == number]) < end:
                found += [(number, message.value()) for message in consumer.consume(1_000, 1) if message.error() is None]
    finally:
        consumer.close()
    return found


def tell(crowd: Crowd, messages: list[tuple[int, bytes]]) -> None:
    settings = crowd.real.settings.kafka
    producer = Producer(client_config(settings))
    for partition, value in messages:
        producer.produce(neighbours_topic(settings, crowd.domain), value, partition=partition)
    assert producer.flush(20) == 0


@pytest.mark.spec("B1", "R4", "M10")
def test_a_topic_of_neighbours_that_is_deleted_and_made_again_loses_nothing(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.worker.outbox.UNHEARD_SECONDS", 0.5)
    kafka = crowd.real.settings.kafka
    topic, half = neighbours_topic(kafka, crowd.domain), len(crowd.batches) // 2
    with crowd.real.workers(crowd.domain, 2):
        crowd.publish(crowd.batches[:half])
        eventually(lambda: crowd.progress.in_flight.settled > 0, within=60, what="they tell each other")
        admin = AdminClient(client_config(kafka))
        admin.delete_topics([topic])[topic].result(30)
        eventually(lambda: partitions_of(kafka, topic) == 0, within=30, what="the topic is gone")
        crowd.publish(crowd.batches[half:])
        eventually(lambda: crowd.outbox() > 0 and not crowd.progress.in_flight.over, within=60, what="there is more to tell")
        make_topics(kafka, crowd.domain, PARTITIONS)
        crowd.finish()


@pytest.mark.spec("B1", "R4", "M10")
def test_what_a_killed_worker_had_not_published_the_next_owner_does(crowd: Crowd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows are applied and on disk, and no offset will bring them back: the outbox is all there is."""
    monkeypatch.setenv(VARIABLE, "outbox_publish:before:1")
    crowd.publish(crowd.batches)
    with crowd.real.process("-m", "streaming.worker", crowd.domain, log=tmp_path / "killed.log") as killed:
        assert killed.wait(120) == -signal.SIGKILL
    monkeypatch.delenv(VARIABLE)
    left = crowd.outbox()
    assert left > 0
    assert told_so_far(crowd) == []
    _, entries = take_over(crowd.real.store, crowd.domain, 0)
    assert [(one.target, one.number) for one in entries] == sorted((one.target, one.number) for one in entries)
    with crowd.real.workers(crowd.domain):
        crowd.finish()


@pytest.mark.spec("B1", "R4", "M10")
def test_messages_told_again_in_any_order_and_of_nobody_change_nothing(crowd: Crowd) -> None:
    half = len(crowd.batches) // 2
    with crowd.real.workers(crowd.domain, 2):
        crowd.publish(crowd.batches[:half])
        eventually(
            lambda: crowd.progress.in_flight.over and crowd.outbox() == 0 and sum(crowd.progress.fences) > half // 2,
            within=60,
            what="half is done",
        )
        before, messages = crowd.progress, told_so_far(crowd)
        random.Random(1).shuffle(messages)
        tell(crowd, [*messages, *messages])
        crowd.publish(crowd.batches[half:])
        crowd.finish()
    assert len(messages) > PARTITIONS
    assert before.in_flight.claimed > 0


# --- one message, and what the partition has heard before


def claim_by(crowd: Crowd, number: int, token: str | None = None, source: int = 1, import_seq: int = 1) -> bytes:
    """A claim of a neighbour for partition 0."""
    header = Header(crowd.domain, import_seq, 0, number, crowd.registration.token if token is None else token, NEIGHBOUR, source)
    address = (PARTITIONS * (1_000 + number)).to_bytes(8, "little") + b"identity"
    claim = np.array([(address, b"\x01" * 16, 2, 17, 0)], CLAIM)
    return encode_body(header, encode_telling(Telling(claim)))


@pytest.mark.spec("B1")
def test_a_neighbours_message_is_applied_once_and_in_its_turn(crowd: Crowd) -> None:
    store, plans = crowd.real.store, Plans(crowd.real.store, crowd.domain)
    first = apply_messages(store, plans, owned(store, 0, crowd.domain), [claim_by(crowd, 0), claim_by(crowd, 0), claim_by(crowd, 1)], None)
    assert (first.verdict, first.state.heard) == (Verdict.DONE, {1: 1})
    assert [(one.target, one.number) for one in first.outbox] == [(1, 0)]
    state, before = first.state, dump(store)
    skipped = {
        "heard before": [claim_by(crowd, 0), claim_by(crowd, 1)],
        "ahead of its turn": [claim_by(crowd, 3), claim_by(crowd, 2, source=2)],
        "of a registration that was lost": [claim_by(crowd, 2, token="0" * 16)],
        "of no registration": [claim_by(crowd, 2, token="")],
        "of another import": [claim_by(crowd, 2, import_seq=2)],
    }
    for why, told in skipped.items():
        result = apply_messages(store, plans, state, told, None)
        assert (result.verdict, result.outbox, dump(store)) == (Verdict.DONE, (), before), why
        state = result.state
    mixed = [claim_by(crowd, 1), claim_by(crowd, 2, token="0" * 16), claim_by(crowd, 2), claim_by(crowd, 4), claim_by(crowd, 3)]
    last = apply_messages(store, plans, state, mixed, None)
    assert last.state.heard == {1: 3}
    assert [(one.target, one.number) for one in last.outbox] == [(1, 1)]


@pytest.mark.spec("B1", "R4", "M10")
def test_a_redis_that_is_full_while_identifiers_are_claimed_pauses_and_goes_on(
    own_valkey: Callable[[], ValkeyServer], apache_kafka: str, empty_s3: S3Server, domain_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.split.batches.BATCH_ROWS", 50)
    server = own_valkey()
    real = pipeline(server.url, apache_kafka, access_to(empty_s3))
    real.make_bucket("crm")
    crowd = Crowd(real, domain_name)
    crowd.register(ROWS)
    half = len(crowd.batches) // 2
    with redis.Redis.from_url(server.url) as client, real.workers(domain_name) as [worker]:
        crowd.publish(crowd.batches[:half])
        eventually(lambda: crowd.progress.in_flight.claimed > 0, within=60, what="the first claim")
        client.config_set("maxmemory", 1)
        crowd.publish(crowd.batches[half:])
        eventually(lambda: all(worker.partitions.values()) and len(worker.partitions) == PARTITIONS, within=60, what="all wait")
        assert sum(fence + 1 for fence in crowd.progress.fences) < len(crowd.batches)
        client.config_set("maxmemory", 0)
        crowd.finish()
