"""Workers that lose their Redis link, their time, or their topic: the oracle's state all the same. Real Kafka, real Redis."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from confluent_kafka.admin import AdminClient

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from profile_store import partitions
from streaming.importing.await_turn import finish
from streaming.kafka import client_config, rows_topic
from streaming.topics import make_topics, partitions_of
from streaming.worker.row_reader import RowReader
from tests.contract.worker_streams import Stream, open_stream
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually
from tests.servers.cut_proxy import CutProxy

ROWS = 4_000


@pytest.fixture
def real(valkey: ValkeyServer, apache_kafka: str, empty_s3: S3Server) -> Pipeline:
    made = pipeline(valkey.url, apache_kafka, access_to(empty_s3))
    made.make_bucket("crm")
    return made


@pytest.fixture
def stream(real: Pipeline, domain_name: str, monkeypatch: pytest.MonkeyPatch) -> Stream:
    monkeypatch.setattr("streaming.split.batches.BATCH_ROWS", 50)
    return open_stream(real, domain_name, ROWS)


@pytest.fixture
def link(valkey: ValkeyServer) -> Iterator[CutProxy]:
    """Between the workers and Redis; the test itself has a link of its own."""
    with CutProxy("127.0.0.1", valkey.port) as proxy:
        yield proxy


def behind(link: CutProxy, real: Pipeline) -> Pipeline:
    """The same servers, Redis through the proxy."""
    return pipeline(f"redis://{link.host}:{link.port}/0", real.settings.kafka.bootstrap_servers, real.access)


@pytest.mark.spec("B1", "R4")
@pytest.mark.parametrize("direction", ["request", "response"])
def test_the_link_is_cut_at_every_third_commit(stream: Stream, link: CutProxy, monkeypatch: pytest.MonkeyPatch, direction: Any) -> None:
    """Before Redis hears of the commit, or when it has made it and nobody is told."""
    commit, calls = partitions.commit, 0

    def armed(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls % 3 == 0:
            link.cut(0, direction=direction)
        return commit(*arguments)

    monkeypatch.setattr(partitions, "commit", armed)
    stream.publish(stream.batches)
    with behind(link, stream.real).workers(stream.domain):
        stream.await_all()
    assert link.cuts >= len(stream.batches) // 4


@pytest.mark.spec("B1", "R4")
@pytest.mark.parametrize("after_bytes", [1, 700, 9_000])
def test_the_link_is_cut_in_the_middle_of_anything(stream: Stream, link: CutProxy, after_bytes: int) -> None:
    link.cut(after_bytes, times=25)
    stream.publish(stream.batches)
    with behind(link, stream.real).workers(stream.domain, 2):
        stream.await_all()
    assert link.cuts > 5


@pytest.mark.spec("B1")
def test_a_full_redis_pauses_and_goes_on(
    own_valkey: Callable[[], ValkeyServer], apache_kafka: str, empty_s3: S3Server, domain_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.split.batches.BATCH_ROWS", 50)
    server = own_valkey()
    real = pipeline(server.url, apache_kafka, access_to(empty_s3))
    real.make_bucket("crm")
    stream = open_stream(real, domain_name, ROWS)
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", 1)
        stream.publish(stream.batches)
        with real.workers(domain_name) as [worker]:
            eventually(lambda: all(worker.partitions.values()) and len(worker.partitions) == 4, within=60, what="all wait")
            assert stream.progress.outcomes.rows == 0
            client.config_set("maxmemory", 0)
            stream.await_all()


@pytest.mark.spec("B1")
def test_a_worker_that_is_told_to_stop_leaves_nothing_to_do_twice(stream: Stream, tmp_path: Path) -> None:
    """SIGTERM: what it holds is finished, made durable and committed; message i of a partition is its batch i."""
    stream.publish(stream.batches)
    log = tmp_path / "worker.log"
    with stream.real.process("-m", "streaming.worker", stream.domain, log=log) as worker:
        eventually(lambda: stream.progress.outcomes.rows > 0, within=60, what="the first batch")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0, log.read_text()
    assert stream.committed() == [fence + 1 for fence in stream.progress.fences]
    with stream.real.workers(stream.domain):
        stream.await_all()
    stream.await_committed(stream.totals.batches)


@pytest.mark.spec("B1", "R4")
@pytest.mark.parametrize("woken", ["while the other works", "when all is done"])
def test_a_worker_that_was_stopped_past_its_session_changes_nothing_any_more(stream: Stream, tmp_path: Path, woken: str) -> None:
    """SIGSTOP, session time-out, SIGCONT: it does not know that another one has its partitions."""
    half = len(stream.batches) // 2
    stream.publish(stream.batches[:half])
    log = tmp_path / "zombie.log"
    with stream.real.process("-m", "streaming.worker", stream.domain, log=log) as zombie:
        eventually(lambda: stream.progress.outcomes.rows > 0, within=60, what="the first batch")
        zombie.send_signal(signal.SIGSTOP)
        with stream.real.workers(stream.domain) as [heir]:
            eventually(lambda: len(heir.partitions) == stream.partitions, within=60, what="the heir has all partitions")
            if woken == "while the other works":
                zombie.send_signal(signal.SIGCONT)
            stream.publish(stream.batches[half:])
            stream.await_all()
            zombie.send_signal(signal.SIGCONT)
            eventually(lambda: "less" in log.read_text() or None, within=60, what="the zombie learns what it has lost")
            stream.await_all()
            stream.await_committed(stream.totals.batches)


def test_offsets_that_kafka_refuses_are_told_so_that_they_are_committed_again(stream: Stream) -> None:
    """As in a rebalance: whoever is not, or not yet, of the group's generation can't commit. If no message followed, the offset would stay behind."""
    told: list[tuple[int, int]] = []
    stranger = RowReader(stream.real.settings.kafka, stream.domain, lambda number, offset: told.append((number, offset)))
    try:
        with stream.real.workers(stream.domain) as [owner]:
            eventually(lambda: len(owner.partitions) == stream.partitions, within=60, what="the group is whole")
            stranger.commit_now({0: 1})
            assert told == [(0, 1)]
    finally:
        stranger.close()


def seized(stream: Stream) -> Pipeline:
    """For workers that give up soon when Redis does not answer."""
    real = stream.real
    return Pipeline(
        real.settings.model_copy(update={"redis": real.settings.redis.model_copy(update={"timeout_seconds": 0.2})}), real.access
    )


@pytest.mark.spec("B1", "R4")
def test_partitions_that_come_back_with_a_full_queue_are_read_on(stream: Stream) -> None:
    """Redis hangs, queues fill up and fetching is paused; a second worker comes and goes; Redis answers again. Nothing stays paused."""
    impatient = seized(stream)
    admin = stream.real.store.client
    stream.publish(stream.batches)
    admin.execute_command("CLIENT", "PAUSE", 600_000, "WRITE")
    try:
        with impatient.workers(stream.domain) as [first]:
            eventually(lambda: len(first.partitions) == 4 and all(first.partitions.values()), within=60, what="all partitions wait")
            with impatient.workers(stream.domain) as [second]:
                eventually(lambda: len(first.partitions) == len(second.partitions) == 2, within=60, what="each has half")
                eventually(lambda: all(second.partitions.values()), within=60, what="they wait there too")
            eventually(lambda: len(first.partitions) == 4, within=60, what="the first has all again")
            admin.execute_command("CLIENT", "UNPAUSE")
            stream.await_all()
    finally:
        admin.execute_command("CLIENT", "UNPAUSE")


@pytest.mark.spec("B1", "R4")
def test_work_goes_on_while_workers_come_and_go(stream: Stream) -> None:
    with stream.real.workers(stream.domain) as [first]:
        eventually(lambda: len(first.partitions) == 4, within=60, what="the first has all")
        stream.publish(stream.batches[: len(stream.batches) // 2])
        with stream.real.workers(stream.domain) as [second]:
            eventually(lambda: len(first.partitions) == len(second.partitions) == 2, within=60, what="each has half")
            assert not set(first.partitions) & set(second.partitions)
            stream.publish(stream.batches[len(stream.batches) // 2 :])
            stream.await_all()
        eventually(lambda: len(first.partitions) == 4, within=60, what="the first has all again")
        stream.await_committed(stream.totals.batches)


@pytest.mark.spec("B1", "R4")
def test_a_wiped_topic_is_published_again_by_the_flow(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.importing.await_outcomes.STALLED_SECONDS", 3.0)
    kafka = stream.real.settings.kafka
    half = len(stream.batches) // 2
    with stream.real.workers(stream.domain):
        stream.publish(stream.batches[:half])
        eventually(lambda: stream.progress.outcomes.rows > ROWS // 4, within=60, what="some are applied")
        topic = rows_topic(kafka, stream.domain)
        admin = AdminClient(client_config(kafka))
        admin.delete_topics([topic])[topic].result(30)
        eventually(lambda: partitions_of(kafka, rows_topic(kafka, stream.domain)) == 0, within=30, what="the topic is gone")
        make_topics(kafka, stream.domain, stream.partitions)
        result = finish(stream.real.context, stream.registration, "run-1")
    assert (result.state, result.outcomes) == ("COMPLETE", stream.expected)
    assert stream.real.profiles(stream.domain) == stream.oracle
