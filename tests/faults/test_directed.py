"""What fault schedules hardly meet, brought about on purpose: each test catches a broken variant (tests/faults/broken/) that they would miss."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import redis
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.errors import TransientError
from headrace.outcomes import Outcomes
from object_store.writer import ObjectWriter
from profile_store import exports, keys
from profile_store.durability import barrier, partition_marks
from profile_store.partitions import Commit, CommitStatus, commit, take_over
from profile_store.store import Store
from streaming import metrics
from streaming.exporting.partition import ExportedPartition, export_partition
from streaming.exporting.plan import ExportPlan
from streaming.importing.await_turn import finish
from streaming.importing.register import register_import
from streaming.importing.scan import scan_goal
from streaming.kafka import client_config, consumer_config, neighbours_topic, rows_topic
from streaming.publisher import Publisher
from streaming.split.splitter import Splitter
from streaming.topics import make_topics, partitions_of
from tests.contract.profile_stores import DOMAIN, SCHEMA, address, log_of_commands, store_at, with_partitions
from tests.contract.worker_streams import Stream, open_stream
from tests.faults.shop_files import ShopFile, shop_domain
from tests.integration.exported import applied, export, imported, nothing_is_left, rows_of
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually
from tests.segmented import make_segment
from tests.servers.kafka import KafkaBroker

PARTITIONS = 4


def made_profiles(batch_no: int, numbers: range) -> Commit:
    """The commit of a row batch that makes these profiles in partition 0."""
    return Commit(
        1,
        batch_no,
        SCHEMA,
        {"created": len(numbers)},
        addresses=b"".join(map(address, numbers)),
        records=b"".join(f"R1\x1f{number}\x1f\x1f\x1f\x1fv{batch_no}\n".encode() for number in numbers),
        created=b"".join(map(address, numbers)),
    )


@pytest.mark.spec("B1")
def test_a_zombie_can_t_commit_over_what_was_lost_and_made_anew(own_valkey: Callable[[], ValkeyServer]) -> None:
    """Redis loses the commit that its owner made last; the next owner writes as many. A version that counts would be the same again."""
    server = own_valkey()
    store = with_partitions(store_at(server.url))
    zombie, _ = take_over(store, DOMAIN, 0)
    status, zombie = commit(store, zombie, made_profiles(0, range(10)))
    assert status is CommitStatus.OK
    barrier(store, partition_marks(DOMAIN, [0]))
    log = log_of_commands(server.options.data_directory)
    size = log.stat().st_size
    status, zombie = commit(store, zombie, Commit(1, None, SCHEMA, {"arrived": 1}, heard={1: (0, 0)}))
    assert status is CommitStatus.OK
    server.kill()
    with log.open("r+b") as file:
        file.truncate(size)
    own_valkey()
    heir, _ = take_over(store, DOMAIN, 0)
    assert heir.heard == {}
    assert commit(store, zombie, made_profiles(1, range(10, 20)))[0] is CommitStatus.TOKEN
    assert commit(store, heir, made_profiles(1, range(10, 20)))[0] is CommitStatus.OK


@pytest.fixture
def server(own_valkey: Callable[[], ValkeyServer]) -> ValkeyServer:
    return own_valkey()


@pytest.fixture
def real(server: ValkeyServer, apache_kafka: str, empty_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    monkeypatch.setattr("streaming.split.batches.BATCH_ROWS", 20)
    made = pipeline(server.url, apache_kafka, access_to(empty_s3))
    made.make_bucket("crm")
    return made


@pytest.mark.spec("B1", "R4")
def test_messages_of_an_import_that_is_over_change_nothing_whoever_reads_them(real: Pipeline, domain_name: str) -> None:
    """Its fences are dropped by then: a worker that takes the partitions over has only their floor to go by."""
    stream = open_stream(real, domain_name, 2_000, PARTITIONS)
    with real.workers(domain_name):
        result = finish(real.context, stream.registration, "run-1")
        stream.await_committed(stream.totals.batches)
    assert (result.state, result.outcomes) == ("COMPLETE", stream.expected)
    stream.publish(stream.batches)
    stream.publish(reversed(stream.batches))
    with real.workers(domain_name):
        stream.await_committed([3 * count for count in stream.totals.batches])
    assert real.profiles(domain_name) == stream.oracle


def told(real: Pipeline, domain: str) -> int:
    """How many messages neighbours were sent."""
    kafka = real.settings.kafka
    asking = Consumer(consumer_config(kafka, domain))
    try:
        places = [TopicPartition(neighbours_topic(kafka, domain), number) for number in range(PARTITIONS)]
        return sum(asking.get_watermark_offsets(place, timeout=20)[1] for place in places)
    finally:
        asking.close()


def tokens(real: Pipeline, domain: str) -> list[object]:
    return [real.store.client.hget(keys.meta(domain, number), "token") for number in range(PARTITIONS)]


def taken_over(real: Pipeline, domain: str, before: list[object]) -> bool:
    """Whether every partition has an owner's token, and the owner has waited for the disk: that sets a mark, one for all that it took at once."""
    marked = any(real.store.client.hget(keys.meta(domain, number), "mark") for number in range(PARTITIONS))
    return marked and all(now != then for now, then in zip(tokens(real, domain), before, strict=True))


@pytest.mark.spec("B1")
def test_neighbours_are_told_nothing_that_redis_may_lose(
    real: Pipeline, server: ValkeyServer, domain_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server writes without fsync: rows are applied and claims made, and nobody hears of them until they are on disk."""
    monkeypatch.setattr("profile_store.durability._WAIT_MS", 100)
    goal = {
        "link": [{"column": "id", "property": "customer_id"}],
        "allow_creation": True,
        "mappings": [{"column": "mail", "property": "email"}],
        "source": {"bucket": "crm", "directory": "in/", "files": "*.csv"},
        "domain": domain_name,
    }
    nothing = {"amount": "", "day": "", "name": "", "tags": ""}
    file = ShopFile("a.csv", tuple({"id": f"C{n}", "mail": f"u{n}@example.com", **nothing} for n in range(400)), goal)
    connection = real.apply(shop_domain(domain_name, PARTITIONS), goal)
    real.put("crm", "in/a.csv", file.as_csv())
    [scanned] = scan_goal(real.context, connection, connection.import_goals[0])
    registration = register_import(real.context, connection, connection.import_goals[0], scanned.version, "run-1")
    splitter = Splitter(io.BytesIO(file.as_csv()).read, registration.needed_plan, "in/a.csv")
    stream = Stream(real, connection, registration, list(splitter.batches()), splitter.totals, list(file.rows), {}, Outcomes(created=400))
    not_durable = metrics.FAILURES.labels(domain_name, "NOT_DURABLE")
    made = tokens(real, domain_name)
    for number in range(PARTITIONS):  # what applying the domain left
        real.store.client.hdel(keys.meta(domain_name, number), "mark")
    with redis.Redis.from_url(server.url) as client, real.workers(domain_name) as [worker]:
        eventually(lambda: len(worker.partitions) == PARTITIONS, within=60, what="the worker has all partitions")
        eventually(lambda: taken_over(real, domain_name, made), within=60, what="it has taken them over")
        client.config_set("appendfsync", "no")
        stream.publish(stream.batches)
        eventually(lambda: stream.progress.outcomes.rows == 400, within=60, what="all rows are applied, though not durable")
        assert stream.progress.in_flight.claimed > 0
        before = not_durable._value.get()
        eventually(lambda: not_durable._value.get() >= before + 2, within=60, what="the worker has looked again, and waits")
        assert told(real, domain_name) == 0
        client.config_set("appendfsync", "always")
        result = finish(real.context, registration, "run-1")
    assert (result.state, result.outcomes.created, result.outcomes.cells) == ("COMPLETE", 400, 0)
    assert len(real.holders(domain_name)) == 800


def make_topics_again(real: Pipeline, domain: str) -> None:
    kafka = real.settings.kafka
    topics = [rows_topic(kafka, domain), neighbours_topic(kafka, domain)]
    admin = AdminClient(client_config(kafka))  # held on to: its answers end with it
    for deleted in admin.delete_topics(topics, operation_timeout=20).values():
        deleted.result(30)
    eventually(lambda: not any(partitions_of(kafka, topic) for topic in topics), within=30, what="the topics are gone")
    make_topics(kafka, domain, PARTITIONS)


@pytest.mark.spec("B1")
def test_topics_made_again_after_a_restart_of_the_broker_are_written_and_read(
    own_kafka: KafkaBroker, server: ValkeyServer, empty_s3: S3Server, domain_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each restart makes the leaders' epoch larger, and new topics begin at 0 again: Kafka's client would wait for the old ones for ever."""
    monkeypatch.setattr("streaming.split.batches.BATCH_ROWS", 20)
    real = pipeline(server.url, own_kafka.bootstrap_servers, access_to(empty_s3))
    real.make_bucket("crm")
    stream = open_stream(real, domain_name, 2_000, PARTITIONS)
    half = len(stream.batches) // 2
    with real.workers(domain_name, 2):
        stream.publish(stream.batches[:half])
        eventually(lambda: stream.progress.outcomes.rows > 0, within=60, what="the first rows are applied")
        own_kafka.kill()
        own_kafka.start()
        publisher = Publisher(real.settings.kafka, domain_name)
        for batch in stream.batches[:half]:
            publisher.publish(batch.partition, stream.message(batch))
        publisher.flush()
        stream.await_committed([2 * count for count in stream.counts(stream.batches[:half])])
        make_topics_again(real, domain_name)

        def refused() -> bool:
            try:
                publisher.publish(0, stream.message(stream.batches[0]))
                publisher.flush()
            except TransientError as error:
                return error.code == "TOPIC_MADE_AGAIN"
            return False

        eventually(refused, within=20, what="who publishes is told, long before Kafka's client would give up")
        publisher.close()
        stream.publish(stream.batches)
        stream.await_all()


@pytest.mark.spec("E1", "R3")
def test_an_export_begins_again_where_redis_may_have_lost_what_it_read(
    own_valkey: Callable[[], ValkeyServer],
    tansu_server: BrokerServer,
    empty_s3: S3Server,
    domain_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its connections are made anew without a word, and what it keeps is on disk: but profiles that it read may be gone, or come again under other
    numbers. Redis is killed when all is read and nothing is kept."""
    server = own_valkey()
    real = pipeline(server.url, tansu_server.bootstrap_servers, access_to(empty_s3))
    real.make_bucket("crm")
    connection = applied(real, domain_name)
    imported(real, connection, domain_name, 50)
    make_segment(real.store, domain_name, "everyone")
    keep_exported, kept = exports.keep_exported, list[str]()

    def keep_after_a_restart(store: Store, domain: str, name: str, export_id: str, *more: Any) -> None:
        if not kept:
            server.kill()
            own_valkey()
        kept.append(export_id)
        keep_exported(store, domain, name, export_id, *more)

    monkeypatch.setattr(exports, "keep_exported", keep_after_a_restart)
    with pytest.raises(TransientError, match="WRITE_LOST"):
        export(real, connection, domain_name)
    nothing_is_left(real, domain_name)
    assert list(real.objects.list_objects("crm", "out/")) == []
    written = export(real, connection, domain_name)
    assert len(rows_of(real, written)) == written.exported == len(real.profiles(domain_name))
    assert kept[1:] == [written.export_id]


@pytest.mark.spec("S5", "E1")
def test_an_export_begins_again_where_its_segment_is_swapped_meanwhile(
    valkey: ValkeyServer, tansu_server: BrokerServer, empty_s3: S3Server, domain_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of its partitions would have the members of the definition before, others those of the new one. It is swapped before the last one is read."""
    real = pipeline(valkey.url, tansu_server.bootstrap_servers, access_to(empty_s3))
    real.make_bucket("crm")
    connection = applied(real, domain_name)
    imported(real, connection, domain_name, 50)
    make_segment(real.store, domain_name, "everyone")
    members, swapped = len(real.profiles(domain_name)), list[int]()

    def export_behind_a_swap(store: Store, plan: ExportPlan, partition: int, *more: Any) -> ExportedPartition:
        if partition == plan.partitions - 1 and not swapped:
            swapped.append(partition)
            make_segment(store, domain_name, "everyone", lambda identifier: identifier[0] < 128, of="tags")
        return export_partition(store, plan, partition, *more)

    monkeypatch.setattr("streaming.exporting.read_ahead.export_partition", export_behind_a_swap)
    with pytest.raises(TransientError, match="SEGMENTS_MOVED"):
        export(real, connection, domain_name)
    nothing_is_left(real, domain_name)
    written = export(real, connection, domain_name)
    assert {bytes.fromhex(row["pid"])[0] < 128 for row in rows_of(real, written)} == {True}
    assert 0 < written.exported < members


@pytest.mark.spec("E4")
def test_no_upload_is_begun_before_its_note_is_on_disk(
    own_valkey: Callable[[], ValkeyServer],
    tansu_server: BrokerServer,
    empty_s3: S3Server,
    domain_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who begins one and dies would leave it for ever, should Redis lose the note: nobody else knows of it."""
    server = own_valkey()
    real = pipeline(server.url, tansu_server.bootstrap_servers, access_to(empty_s3))
    real.make_bucket("crm")
    connection = applied(real, domain_name)
    imported(real, connection, domain_name, 50)
    make_segment(real.store, domain_name, "everyone")
    begun = list[str]()

    def begin(writer: ObjectWriter) -> str:
        begun.append(begin_upload(writer))
        return begun[-1]

    begin_upload = ObjectWriter.begin
    monkeypatch.setattr(ObjectWriter, "begin", begin)
    monkeypatch.setattr("profile_store.durability._WAIT_MS", 100)
    with redis.Redis.from_url(server.url) as client:
        client.config_set("appendfsync", "no")
        with pytest.raises(TransientError, match="NOT_DURABLE"):
            export(real, connection, domain_name)
        assert begun == []
        client.config_set("appendfsync", "always")
    written = export(real, connection, domain_name)
    assert (len(begun), len(rows_of(real, written))) == (1, written.exported)
    nothing_is_left(real, domain_name)
