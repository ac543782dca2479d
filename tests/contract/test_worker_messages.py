"""What a worker does with messages that it can't, must not or need not apply. Real Kafka, real Redis."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest

from deployments.embedded.s3 import S3Server
from headrace.errors import TransientError, UnsupportedFormatError
from profile_store import counts, keys, sequence
from profile_store.partitions import PartitionState, take_over
from profile_store.store import Store
from streaming import metrics
from streaming.envelope import Header, MalformedMessageError, encode
from streaming.kafka import rows_topic
from streaming.worker.batch import Result, Verdict, apply_messages
from streaming.worker.domain_worker import DomainWorker
from streaming.worker.plans import Plans
from tests.contract.profile_stores import dump
from tests.contract.worker_streams import Stream, open_stream
from tests.dead_letters import read_dead_letters
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually
from tests.servers.valkey import RedisTarget

ROWS = 2_000


@pytest.fixture
def real(redis_target: RedisTarget, apache_kafka: str, empty_s3: S3Server) -> Pipeline:
    made = pipeline(redis_target.url, apache_kafka, access_to(empty_s3), cluster=redis_target.cluster)
    made.make_bucket("crm")
    return made


@pytest.fixture
def stream(real: Pipeline, domain_name: str, monkeypatch: pytest.MonkeyPatch) -> Stream:
    monkeypatch.setattr("streaming.split.batches.BATCH_ROWS", 50)
    return open_stream(real, domain_name, ROWS)


def failures(domain: str, code: str) -> float:
    return float(metrics.FAILURES.labels(domain, code)._value.get())


def of_partition(stream: Stream, partition: int) -> list[bytes]:
    """Its messages, in order."""
    return [stream.message(batch) for batch in stream.batches if batch.partition == partition]


def newer(value: bytes) -> bytes:
    """As a release of message format 2 would publish it."""
    return struct.pack(">2sB", b"HR", 2) + value[3:]


def waits_alone(stream: Stream, worker: DomainWorker, partition: int, after: int) -> None:
    """One partition stands behind its first batches, paused; all others have everything."""
    wanted = [count - 1 for count in stream.totals.batches]
    wanted[partition] = after - 1

    def there() -> bool:
        assert stream.progress.fences == tuple(wanted)
        assert [number for number, paused in worker.partitions.items() if paused] == [partition]
        return True

    eventually(there, within=60, what=f"partition {partition} waits, the others go on")


@pytest.mark.spec("B1", "R4", "B9")
def test_a_newer_message_pauses_its_partition_until_a_newer_worker_comes(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = of_partition(stream, 2)
    stream.publish(batch for batch in stream.batches if batch.partition != 2)
    stream.publish_bytes((2, newer(value) if number >= 3 else value) for number, value in enumerate(theirs))
    with stream.real.workers(stream.domain) as [worker]:
        waits_alone(stream, worker, 2, after=3)
        eventually(lambda: failures(stream.domain, "UNSUPPORTED_FORMAT") >= 6, within=30, what="it is tried again")
        assert metrics.PAUSED.labels(stream.domain)._value.get() == 1
        expected = list(stream.totals.batches)
        expected[2] = 3
        stream.await_committed(expected)
    assert not stream.all_applied
    assert not read_dead_letters(stream.real.settings.kafka, stream.domain)
    monkeypatch.setattr("streaming.envelope.MESSAGE_FORMAT", 2)
    with stream.real.workers(stream.domain):
        stream.await_all()


@pytest.mark.spec("B1", "B9")
def test_garbage_in_the_topic_is_told_put_aside_and_passed_by(stream: Stream, caplog: pytest.LogCaptureFixture) -> None:
    theirs = of_partition(stream, 1)
    stream.publish(batch for batch in stream.batches if batch.partition != 1)
    stream.publish_bytes((1, value) for value in [*theirs[:2], b"garbage of somebody else", *theirs[2:]])
    with stream.real.workers(stream.domain):
        stream.await_all()
        expected = list(stream.totals.batches)
        expected[1] += 1
        stream.await_committed(expected)
    told = [record.getMessage() for record in caplog.records if "MALFORMED_MESSAGE" in record.getMessage()]
    assert f"domain {stream.domain}, partition 1, offset 2: MALFORMED_MESSAGE" in told[0]
    assert len([line for line in told if "dead-letter topic" in line]) == 1
    assert "garbage" not in caplog.text
    [letter] = read_dead_letters(stream.real.settings.kafka, stream.domain)
    assert letter.value == b"garbage of somebody else"
    topic = rows_topic(stream.real.settings.kafka, stream.domain)
    place = {"domain": stream.domain, "topic": topic, "partition": "1", "offset": "2"}
    assert letter.headers == {**place, "code": "MALFORMED_MESSAGE", "attempts": "5"}
    assert metrics.DEAD_LETTERS.labels(stream.domain, "MALFORMED_MESSAGE")._value.get() == 1


@pytest.mark.spec("B1")
@pytest.mark.parametrize("value", [b"", None], ids=["empty", "no value"])
def test_a_message_without_a_value_is_passed_by_too(stream: Stream, value: Any) -> None:
    stream.publish_bytes([(0, value)])
    stream.publish(stream.batches)
    with stream.real.workers(stream.domain):
        stream.await_all()
    [letter] = read_dead_letters(stream.real.settings.kafka, stream.domain)
    assert letter.value == b""


# --- one message and what the worker believes of its partition


@pytest.fixture
def plans(stream: Stream) -> Plans:
    return Plans(stream.real.store, stream.domain)


def raise_floor(stream: Stream, import_seq: int = 1) -> None:
    counts.raise_floors(stream.real.store, stream.domain, stream.partitions, import_seq)


def owned(store: Store, stream: Stream, partition: int = 0) -> PartitionState:
    return take_over(store, stream.domain, partition)[0]


def apply_message(store: Store, plans: Plans, state: PartitionState, value: bytes) -> Result:
    return apply_messages(store, plans, state, [], value)


@pytest.mark.spec("B1")
def test_a_message_of_an_import_that_ended_behind_our_back_changes_nothing(stream: Stream, plans: Plans) -> None:
    """The floor is raised without a new token: what we know of it is old."""
    store = stream.real.store
    state = owned(store, stream)
    raise_floor(stream)
    before = dump(store)
    result = apply_message(store, plans, state, of_partition(stream, 0)[0])
    assert result.verdict is Verdict.DONE
    assert dump(store) == before


@pytest.mark.spec("B1", "M12")
def test_a_message_of_the_next_import_waits_for_the_floor_and_passes_when_it_is_raised(stream: Stream, plans: Plans) -> None:
    store = stream.real.store
    state = owned(store, stream)
    first = replace(stream.registration, run_id="other")
    sequence.register(store, first, "another piece of work")
    rows = next(batch.rows for batch in stream.batches if batch.partition == 0)
    second = encode(Header(stream.domain, 2, 0, 0, first.token), rows)
    before = dump(store)
    assert apply_message(store, plans, state, second).verdict is Verdict.AHEAD
    assert dump(store) == before
    raise_floor(stream)
    assert apply_message(store, plans, state, second).verdict is Verdict.DONE
    assert counts.progress(store, stream.domain, stream.partitions, 2).outcomes.rows == rows.num_rows


@pytest.mark.spec("B1")
def test_a_message_far_ahead_is_not_applied(stream: Stream, plans: Plans) -> None:
    store = stream.real.store
    before = dump(store)
    state = owned(store, stream)
    for value in (of_partition(stream, 0)[1], encode(Header(stream.domain, 3, 0, 0), stream.batches[0].rows)):
        assert apply_message(store, plans, state, value).verdict is Verdict.AHEAD
    assert {**dump(store), **{key: value for key, value in before.items() if key.endswith(b":meta")}} == before


@pytest.mark.spec("B1")
def test_a_zombie_is_told_that_it_is_one(stream: Stream, plans: Plans) -> None:
    store = stream.real.store
    zombie = owned(store, stream)
    owner = owned(store, stream)
    messages = of_partition(stream, 0)
    before = dump(store)
    assert apply_message(store, plans, zombie, messages[0]).verdict is Verdict.LOST
    assert dump(store) == before
    assert apply_message(store, plans, owner, messages[0]).verdict is Verdict.DONE
    before = dump(store)
    assert apply_message(store, plans, zombie, messages[0]).verdict is Verdict.LOST
    assert dump(store) == before


@pytest.mark.spec("B1", "M12")
def test_what_redis_may_lose_yet_is_not_merged_with(stream: Stream, plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reply of a commit is lost, what it wrote is read when it is tried again, and then Redis comes back without it: with our token."""
    store, (first, second) = stream.real.store, of_partition(stream, 0)[:2]
    result = apply_message(store, plans, owned(store, stream), first)
    kept = partition_of(store, stream)
    run = Store.run_script

    def without_a_reply(self: Store, name: str, *arguments: Any) -> Any:
        reply = run(self, name, *arguments)
        if name == "commit":
            raise TransientError("the reply is lost", code="REDIS_UNAVAILABLE")
        return reply

    def behind_a_loss(self: Store, name: str, *arguments: Any) -> Any:
        if name == "commit":
            put_back(store, stream, kept)
        return run(self, name, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "run_script", without_a_reply)
        with pytest.raises(TransientError):
            apply_message(store, plans, result.state, second)
    assert partition_of(store, stream) != kept, "it is there"
    with monkeypatch.context() as patch:
        patch.setattr(Store, "run_script", behind_a_loss)
        assert apply_message(store, plans, result.state, second).verdict is Verdict.LOST
    put_back(store, stream, kept)
    assert apply_message(store, plans, result.state, second).verdict is Verdict.DONE


def partition_of(store: Store, stream: Stream) -> dict[bytes, bytes]:
    """The keys of partition 0, packed as Redis packs them."""
    node: Any = store.node_of(keys.meta(stream.domain, 0))
    found = node.scan_iter(match=f"{keys.partition_tag(stream.domain, 0)}*", count=1000)
    return {key: node.dump(key) for key in found}


def put_back(store: Store, stream: Stream, kept: dict[bytes, bytes]) -> None:
    node: Any = store.node_of(keys.meta(stream.domain, 0))
    for key in partition_of(store, stream):
        node.delete(key)
    for key, packed in kept.items():
        node.restore(key, 0, packed)


@pytest.mark.spec("B1")
@pytest.mark.parametrize(
    ("header", "error"),
    [
        (Header("DOMAIN", 1, 1, 0), MalformedMessageError),
        (Header("another", 1, 0, 0), MalformedMessageError),
        (Header("DOMAIN", 1, 0, 0, kind="another"), UnsupportedFormatError),
    ],
    ids=["another partition's", "another domain's", "another kind"],
)
def test_a_message_that_is_not_for_this_partition_writes_nowhere(
    stream: Stream, plans: Plans, header: Header, error: type[Exception]
) -> None:
    store = stream.real.store
    state = owned(store, stream)
    before = dump(store)
    placed = replace(header, domain=header.domain.replace("DOMAIN", stream.domain))
    with pytest.raises(error):
        apply_message(store, plans, state, encode(placed, stream.batches[0].rows))
    assert dump(store) == before


@pytest.mark.spec("B1")
def test_a_plan_by_another_schema_than_the_partition_s_is_not_applied(stream: Stream, plans: Plans) -> None:
    store = stream.real.store
    store.node_of(f"{{{stream.domain}:0}}:meta").hset(f"{{{stream.domain}:0}}:meta", "schema", 2)
    state = owned(store, stream)
    before = dump(store)
    with pytest.raises(TransientError, match="SCHEMA_MOVED"):
        apply_message(store, plans, state, of_partition(stream, 0)[0])
    assert dump(store) == before
