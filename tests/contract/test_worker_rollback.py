"""Redis comes back without its last second, or messages without their forerunners: the worker sets it right from what is in Kafka."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from streaming import metrics
from tests.contract.profile_stores import log_of_commands
from tests.contract.worker_streams import Stream, open_stream
from tests.pipeline import access_to, pipeline
from tests.polling import eventually

ROWS = 4_000


@pytest.fixture
def server(own_valkey: Callable[[], ValkeyServer]) -> ValkeyServer:
    return own_valkey()


@pytest.fixture
def stream(server: ValkeyServer, apache_kafka: str, empty_s3: S3Server, domain_name: str, monkeypatch: pytest.MonkeyPatch) -> Stream:
    monkeypatch.setattr("streaming.split.batches.BATCH_ROWS", 50)
    real = pipeline(server.url, apache_kafka, access_to(empty_s3))
    real.make_bucket("crm")
    return open_stream(real, domain_name, ROWS)


@pytest.mark.spec("B1", "R4")
@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_what_redis_lost_with_its_last_second_is_applied_again_without_being_published_again(
    stream: Stream, server: ValkeyServer, own_valkey: Callable[[], ValkeyServer], part: float
) -> None:
    """From a moment on the server writes without fsync, so nothing may be believed; then it loses what came after, and no message follows."""
    early = [batch for batch in stream.batches if batch.batch_no < 10]
    late = [batch for batch in stream.batches if batch.batch_no >= 10]
    log = log_of_commands(server.options.data_directory)
    with stream.real.workers(stream.domain):
        stream.publish(early)
        stream.await_committed(stream.counts(early))
        with redis.Redis.from_url(server.url) as client:
            client.config_set("appendfsync", "no")
            size = log.stat().st_size
        stream.publish(late)
        eventually(lambda: stream.all_applied, within=60, what="all is applied, though not durable")
        assert stream.committed() == stream.counts(early)
        whole = log.stat().st_size
        server.kill()
        with log.open("r+b") as file:
            file.truncate(size + int((whole - size) * part))
        own_valkey()
        stream.await_all()
        stream.await_committed(stream.counts(stream.batches))


@pytest.mark.spec("B1")
def test_messages_whose_forerunners_come_later_hold_nothing_up(stream: Stream) -> None:
    """A flow whose first messages were lost publishes all of them again: they stand behind the later ones in the log."""
    stream.publish(batch for batch in stream.batches if batch.batch_no >= 3)
    stream.publish(stream.batches)
    with stream.real.workers(stream.domain):
        stream.await_all()


@pytest.mark.spec("B1")
def test_messages_in_any_order_and_number_are_applied_once_each(stream: Stream) -> None:
    """Each partition's batches backwards, then every other one, then all: what is ahead is awaited, what was applied is skipped."""
    stream.publish(reversed(stream.batches))
    stream.publish(stream.batches[::2])
    stream.publish(stream.batches)
    stream.publish(stream.batches[::-3])
    with stream.real.workers(stream.domain, 2):
        stream.await_all()


@pytest.mark.spec("B1")
def test_nothing_is_applied_or_skipped_before_the_takeover_is_on_disk(
    stream: Stream, server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a Redis that loses its last second brings the owner before us back, with its token."""
    monkeypatch.setattr("profile_store.durability._WAIT_MS", 100)
    not_durable = metrics.FAILURES.labels(stream.domain, "NOT_DURABLE")
    stream.publish(stream.batches)
    with redis.Redis.from_url(server.url) as client:
        client.config_set("appendfsync", "no")
        with stream.real.workers(stream.domain) as [worker]:
            eventually(lambda: not_durable._value.get() >= 8, within=60, what="partitions are taken over, and not believed")
            assert all(worker.partitions.values())
            assert stream.progress.fences == (-1,) * stream.partitions
            assert stream.committed() == [0] * stream.partitions
            client.config_set("appendfsync", "always")
            stream.await_all()
