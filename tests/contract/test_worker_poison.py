"""Messages that can't be applied, five times over: the dead-letter topic, the rejects file, and counts that add up all the same. Bugs are injected into
the merge; Kafka, Redis and S3 are real.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.connections import Connection
from headrace.merge import Addresses, Profile, import_rows
from headrace.outcomes import Outcomes
from object_store.access import connect
from profile_store import registry
from streaming import metrics
from streaming.importing.await_turn import finish
from streaming.importing.close import ImportResult
from streaming.importing.plan import plan_of
from streaming.kafka import client_config, dead_letters_topic, neighbours_topic, producer_config
from streaming.merge.columns import merge_rows
from streaming.topics import make_topics, partitions_of
from tests.contract.worker_streams import Stream, open_stream
from tests.dead_letters import read_dead_letters
from tests.faults.shop_files import shop_domain
from tests.files import csv_bytes
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually
from tests.shop import plan_in

ROWS, POISONED_LINE = 2_000, 777
CELL = "ana@example.com"
"""What a bug may quote, and a log must not."""


@pytest.fixture
def real(valkey: ValkeyServer, apache_kafka: str, empty_s3: S3Server) -> Pipeline:
    made = pipeline(valkey.url, apache_kafka, access_to(empty_s3))
    made.make_bucket("crm")
    return made


@pytest.fixture
def stream(real: Pipeline, domain_name: str, monkeypatch: pytest.MonkeyPatch) -> Stream:
    monkeypatch.setattr("streaming.split.batches.BATCH_ROWS", 50)
    return open_stream(real, domain_name, ROWS)


def break_merge(monkeypatch: pytest.MonkeyPatch, line: int) -> None:
    """A bug that shows on one row of a file: what it is merged with fails, too."""

    def broken(rows: Any, *others: Any) -> Any:
        if line in rows.column("line").to_pylist():
            raise ZeroDivisionError(CELL)
        return merge_rows(rows, *others)

    monkeypatch.setattr("streaming.merge.group.merge_rows", broken)


def rejects(real: Pipeline, result: ImportResult) -> dict[str, set[int]]:
    """Code → lines of whole rows, by the rejects file."""
    assert result.rejects_key is not None
    text = connect(real.access, 1).get_object(Bucket="crm", Key=result.rejects_key)["Body"].read().decode("utf-8-sig")
    found: dict[str, set[int]] = {}
    for row in csv.DictReader(io.StringIO(text, newline="")):
        assert row["_headrace_raw"] == ""
        assert any(value for name, value in row.items() if not name.startswith("_"))
        if not row["_headrace_column"]:
            found.setdefault(row["_headrace_code"], set()).add(int(row["_headrace_line"]))
    return found


@pytest.mark.spec("B1", "B2", "R4")
def test_the_rows_of_a_poisoned_batch_are_rejected_each_by_its_line(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = stream.real
    [batch] = [one for one in stream.batches if POISONED_LINE in one.rows.column("line").to_pylist()]
    lines = set(batch.rows.column("line").to_pylist())
    oracle: dict[bytes, Profile] = {}
    kept = [row for line, row in enumerate(stream.table, 2) if line not in lines]
    expected = import_rows(oracle, kept, plan_in(real, stream.connection)).outcomes + Outcomes(rejected=len(lines))
    break_merge(monkeypatch, POISONED_LINE)
    with real.workers(stream.domain):
        result = finish(real.context, stream.registration, "run-1")
    assert (result.state, result.outcomes) == ("COMPLETE", expected)
    assert real.profiles(stream.domain) == oracle
    assert rejects(real, result) == {"POISON": lines}
    [letter] = read_dead_letters(real.settings.kafka, stream.domain)
    assert letter.value == stream.message(batch)
    said = {
        "code": "ZeroDivisionError",
        "attempts": "5",
        "partition": str(batch.partition),
        "import_seq": "1",
        "number": str(batch.batch_no),
    }
    assert said.items() <= letter.headers.items()
    assert metrics.DEAD_LETTERS.labels(stream.domain, "ZeroDivisionError")._value.get() == 1
    assert "given up after 5 attempts (ZeroDivisionError)" in caplog.text
    assert CELL not in caplog.text


@pytest.mark.spec("B1", "R4")
def test_nothing_is_given_up_before_kafka_has_it(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its topic a letter can't be written: its batch waits, the other partitions go on."""
    kafka = stream.real.settings.kafka
    topic = dead_letters_topic(kafka, stream.domain)
    admin = AdminClient(client_config(kafka))
    admin.delete_topics([topic])[topic].result(30)
    eventually(lambda: partitions_of(kafka, topic) == 0, within=30, what="the topic is gone")
    monkeypatch.setattr("streaming.worker.dead_letters._SECONDS", 1.0)
    break_merge(monkeypatch, POISONED_LINE)
    [batch] = [one for one in stream.batches if POISONED_LINE in one.rows.column("line").to_pylist()]
    waiting = list(stream.totals.batches)
    waiting[batch.partition] = batch.batch_no
    stream.publish(stream.batches)
    with stream.real.workers(stream.domain):
        eventually(lambda: [fence + 1 for fence in stream.progress.fences] == waiting, within=60, what="all but the partition")
        unavailable = metrics.FAILURES.labels(stream.domain, "KAFKA_UNAVAILABLE")._value
        eventually(lambda: unavailable.get() >= 2, within=60, what="the letter is tried again")
        assert [fence + 1 for fence in stream.progress.fences] == waiting
        make_topics(kafka, stream.domain, stream.partitions)
        eventually(lambda: stream.progress.outcomes.rows == ROWS, within=60, what="all is counted")
    assert stream.progress.outcomes.rejected == batch.rows.num_rows
    letters = read_dead_letters(kafka, stream.domain)
    assert {one.value for one in letters} == {stream.message(batch)}


@pytest.mark.spec("B1")
def test_an_outage_is_nobody_s_fault(
    own_valkey: Callable[[], ValkeyServer], apache_kafka: str, empty_s3: S3Server, domain_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.split.batches.BATCH_ROWS", 50)
    server = own_valkey()
    real = pipeline(server.url, apache_kafka, access_to(empty_s3))
    real.make_bucket("crm")
    stream = open_stream(real, domain_name, ROWS)
    failures = metrics.FAILURES.labels(domain_name, "REDIS_UNAVAILABLE")._value
    stream.publish(one for one in stream.batches if one.batch_no == 0)
    with redis.Redis.from_url(server.url) as client, real.workers(domain_name):
        eventually(lambda: set(stream.progress.fences) == {0}, within=60, what="all are taken over")
        client.config_set("maxmemory", 1)
        stream.publish(one for one in stream.batches if one.batch_no > 0)
        eventually(lambda: failures.get() >= 7 * stream.partitions, within=90, what="each is tried seven times")
        client.config_set("maxmemory", 0)
        stream.await_all()
    assert not read_dead_letters(real.settings.kafka, domain_name)


# --- what neighbours tell


class Shop:
    """Customers with e-mails, and a second file that is linked by e-mail: all of its rows are forwarded."""

    def __init__(self, real: Pipeline, domain: str) -> None:
        self.real, self.domain = real, domain
        mail = {"column": "mail", "property": "email", "rule": "set"}
        amount = {"column": "amount", "property": "total", "rule": "sum"}
        goals = [("first", "id", "customer_id", [mail, amount]), ("second", "mail", "email", [amount])]
        self.connection: Connection = real.apply_goals(
            shop_domain(domain, 3),
            [
                {
                    "kind": "import_profiles",
                    "name": name,
                    "domain": domain,
                    "source": {"bucket": "crm", "directory": f"{name}/", "files": "*.csv"},
                    "link": [{"column": column, "property": of}],
                    "allow_creation": True,
                    "mappings": mappings,
                }
                for name, column, of, mappings in goals
            ],
        )
        self.first = [{"id": f"C{n}", "mail": f"u{n}@example.com", "amount": "1"} for n in range(120)]
        self.second = [{"id": "", "mail": f"u{n * 7 % 120}@example.com", "amount": f"{n % 9}.5"} for n in range(400)]
        self.profiles: dict[bytes, Profile] = {}
        self.addresses = Addresses()

    def put(self, name: str, table: list[dict[str, str]]) -> None:
        self.real.put("crm", f"{name}/a.csv", csv_bytes(table, ("id", "mail", "amount")))

    def expect(self, number: int, table: list[dict[str, str]]) -> Outcomes:
        plan = plan_of(self.connection.import_goals[number], registry.get_domain(self.real.store, self.domain), self.connection.objectives)
        return import_rows(self.profiles, table, plan, self.addresses, self.real.holders(self.domain)).outcomes

    def run(self) -> ImportResult:
        with self.real.workers(self.domain):
            [result] = self.real.run(self.connection)
        return result


@pytest.mark.spec("B1", "B2", "R4")
def test_poisoned_rows_of_a_neighbour_are_rejected_where_they_arrived(
    real: Pipeline, domain_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(real, domain_name)
    shop.put("first", shop.first)
    assert shop.run().outcomes == shop.expect(0, shop.first)
    break_merge(monkeypatch, 123)
    shop.put("second", shop.second)
    result = shop.run()
    poisoned = rejects(real, result)["POISON"]
    assert 123 in poisoned
    kept = [row for line, row in enumerate(shop.second, 2) if line not in poisoned]
    assert (result.state, result.outcomes) == ("COMPLETE", shop.expect(1, kept) + Outcomes(rejected=len(poisoned)))
    assert real.profiles(domain_name) == shop.profiles
    letters = read_dead_letters(real.settings.kafka, domain_name)
    assert {one.headers["topic"] for one in letters} == {neighbours_topic(real.settings.kafka, domain_name)}
    assert {(one.headers["kind"], one.headers["import_seq"]) for one in letters} == {("neighbour", "2")}


@pytest.mark.spec("B1", "R4")
def test_a_claim_that_can_t_be_judged_is_never_given_up(real: Pipeline, domain_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its partition stands still, and says so, until a release comes that can."""
    shop = Shop(real, domain_name)
    shop.put("first", shop.first)
    failures = metrics.FAILURES.labels(domain_name, "ZeroDivisionError")._value

    def broken(*_arguments: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch, real.workers(domain_name) as [worker], ThreadPoolExecutor(1) as pool:
        patch.setattr("streaming.merge.group._judge", broken)
        importing = pool.submit(real.run, shop.connection)
        eventually(lambda: failures.get() >= 3 * 6, within=60, what="each is tried more than five times")
        assert all(worker.partitions.values())
        assert not read_dead_letters(real.settings.kafka, domain_name)
        patch.undo()
        [result] = importing.result(120)
    assert (result.state, result.outcomes) == ("COMPLETE", shop.expect(0, shop.first))
    assert real.profiles(domain_name) == shop.profiles


@pytest.mark.spec("B1")
def test_garbage_among_what_neighbours_tell_is_passed_by(real: Pipeline, domain_name: str) -> None:
    shop = Shop(real, domain_name)
    kafka = real.settings.kafka
    shop.put("first", shop.first)
    with real.workers(domain_name):
        assert [one.outcomes for one in real.run(shop.connection)] == [shop.expect(0, shop.first)]
        producer = Producer(producer_config(kafka))
        for partition in range(3):
            producer.produce(neighbours_topic(kafka, domain_name), b"garbage", partition=partition)
        assert producer.flush(10) == 0
        shop.put("second", shop.second)
        [result] = real.run(shop.connection)
    assert (result.state, result.outcomes) == ("COMPLETE", shop.expect(1, shop.second))
    assert real.profiles(domain_name) == shop.profiles
    letters = read_dead_letters(kafka, domain_name)
    assert {(one.headers["partition"], one.value) for one in letters} == {(str(partition), b"garbage") for partition in range(3)}
