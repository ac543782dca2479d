"""A replica takes over in the middle of an import (DESIGN §2, Durability; docs/concepts.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from confluent_kafka import Consumer, TopicPartition

from deployments.embedded.processes import free_port
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyOptions, ValkeyServer, start_valkey
from headrace.errors import TransientError
from headrace.settings import KafkaSettings, RedisSettings
from profile_store import keys
from profile_store.durability import barrier, partition_marks
from profile_store.store import Store
from streaming.envelope import Header, decode_header
from streaming.importing.await_turn import finish
from streaming.kafka import client_config, neighbours_topic
from tests.contract.lost_store import PARTITIONS, World, table
from tests.pipeline import access_to, pipeline
from tests.polling import eventually
from tests.servers.cut_proxy import CutProxy

PARTITION = 0


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[ValkeyServer]:
    with start_valkey(ValkeyOptions(tmp_path / "replica", tmp_path / "replica.log", free_port())) as server:
        yield server


def follow(replica: ValkeyServer, primary: ValkeyServer, link: CutProxy) -> None:
    """Until it has on disk what it is told: it writes its whole log anew first."""
    with redis.Redis.from_url(replica.url) as follower, redis.Redis.from_url(primary.url, single_connection_client=True) as client:
        follower.replicaof(link.host, link.port)

        def follows() -> bool:
            client.set("followed", "1")
            return bool(client.execute_command("WAITAOF", 1, 1, 500) == [1, 1])

        eventually(follows, within=30, what="the replica follows")


def unknown_messages(settings: KafkaSettings, world: World, replica: ValkeyServer) -> list[Header]:
    """What one partition has told another by Kafka, and the replica does not know that it was told."""
    told = told_at(replica, world.domain)
    return [one for one in published(settings, world.domain) if one.number > told.get((one.source, one.partition), -1)]


def told_at(server: ValkeyServer, domain: str) -> dict[tuple[int, int], int]:
    """Source, target → the number of the last message, as this server knows them."""
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        fences: list[Any] = [client.hgetall(keys.fence(domain, source)) for source in range(PARTITIONS)]
    numbers = ((source, name.split(":"), number) for source, fence in enumerate(fences) for name, number in fence.items())
    return {(source, int(rest[0])): int(number) for source, (kind, *rest), number in numbers if kind == "to"}


def published(settings: KafkaSettings, domain: str) -> Iterator[Header]:
    """The headers of all that the domain's partitions have told each other."""
    topic = neighbours_topic(settings, domain)
    consumer = Consumer({**client_config(settings), "group.id": "looks-on", "enable.auto.commit": False})
    for partition in range(PARTITIONS):
        place = TopicPartition(topic, partition, 0)
        _, end = consumer.get_watermark_offsets(place, timeout=20)
        consumer.assign([place])
        offset = -1
        while offset + 1 < end:
            message = consumer.poll(20)
            assert message is not None
            offset, value = message.offset() or 0, message.value()
            assert isinstance(value, bytes)
            yield decode_header(value)[0]
    consumer.close()


@pytest.mark.spec("B1", "R5")
def test_a_failover_in_the_middle_of_an_import_with_several_identifiers(
    own_valkey: Callable[[], ValkeyServer],
    replica: ValkeyServer,
    apache_kafka: str,
    empty_s3: S3Server,
    domain_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the replica did not have is lost; nobody relied on it: no message went out, no offset, no count."""
    monkeypatch.setattr("streaming.split.batches.BATCH_ROWS", 20)
    monkeypatch.setattr("profile_store.durability._WAIT_MS", 1_000)
    primary = own_valkey()
    with CutProxy("127.0.0.1", primary.port) as front, CutProxy("127.0.0.1", primary.port) as between:
        real = pipeline(f"redis://{front.host}:{front.port}/0", apache_kafka, access_to(empty_s3))
        real.settings.redis.replicas = 1
        real.make_bucket("crm")
        follow(replica, primary, between)
        world = World(real, primary, own_valkey, domain_name)
        first, second = table(1), table(2)
        with real.workers(domain_name, 2):
            world.imports(0, "a.csv", first)
            world.expect(1, second)
            between.cut(100_000, direction="response")
            registration = world.begins(1, "b.csv", second)
            eventually(lambda: between.cuts, within=30, what="the replica lags")
            between.close()
            there = sum(told_at(replica, domain_name).values())
            eventually(lambda: sum(told_at(primary, domain_name).values()) > there + 20, within=60, what="the primary is ahead")
            primary.kill()
            assert any(published(real.settings.kafka, domain_name)), "there is something to tell"
            assert unknown_messages(real.settings.kafka, world, replica) == []
            with redis.Redis.from_url(replica.url) as client:
                client.replicaof("NO", "ONE")
                real.settings.redis.replicas = 0  # nobody follows the new primary
            front.forward_to("127.0.0.1", replica.port)
            assert finish(real.context, registration, "operator").state == "COMPLETE"
        world.is_as_expected()


@pytest.mark.spec("B1")
def test_nothing_is_durable_before_the_replicas_have_it(
    own_valkey: Callable[[], ValkeyServer], replica: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    primary = own_valkey()
    store = Store(RedisSettings(url=primary.url, replicas=1))  # type: ignore[arg-type]
    marks = partition_marks("retail", [PARTITION])
    with CutProxy("127.0.0.1", primary.port) as between:
        follow(replica, primary, between)
        barrier(store, marks)
        with redis.Redis.from_url(replica.url) as client:
            assert client.hget(keys.meta("retail", PARTITION), "mark") == b"1"
        between.close()
        monkeypatch.setattr("profile_store.durability._WAIT_MS", 200)
        with pytest.raises(TransientError, match=r"Of the 1 replicas .* 0 had it within 0\.2 s"):
            barrier(store, marks)


def test_replicas_are_waited_for_with_waitaof_only() -> None:
    with pytest.raises(ValueError, match="REPLICAS is used with DURABILITY waitaof only"):
        RedisSettings(durability="fsync_always", replicas=1)
