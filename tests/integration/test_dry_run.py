"""A dry run against real servers: it says what the import of the same file then does, and leaves every byte of Redis, Kafka and S3 as it is."""

from __future__ import annotations

import csv
import io
import random
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.connections import Connection
from headrace.errors import TerminalError
from object_store.access import connect
from profile_store import registry
from streaming.dry_run import partitions, run, sample
from streaming.dry_run.run import DryRun, dry_run
from streaming.importing.register import register_import
from streaming.importing.reject_lines import CODE, COLUMN, LINE
from streaming.importing.scan import scan_goal
from streaming.look.chosen import chosen_file
from streaming.look.existing import Existing, existing_properties
from streaming.split import batches
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually

pytestmark = pytest.mark.slow

COLUMNS = ("id", "mail", "name", "amount", "tags", "day")
BUCKET = "crm"


@pytest.fixture
def real(valkey: ValkeyServer, tansu_server: BrokerServer, empty_s3: S3Server) -> Pipeline:
    made = pipeline(valkey.url, tansu_server.bootstrap_servers, access_to(empty_s3))
    made.make_bucket(BUCKET)
    return made


def shop(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "partitions": 4,
        "properties": [
            {"name": "customer_id", "identifier": True},
            {"name": "email", "type": "email", "identifier": True},
            {"name": "name"},
            {"name": "total", "type": "number"},
            {"name": "tags", "multiple": True},
            {"name": "last", "type": "date"},
        ],
    }


def customers(domain: str, **more: Any) -> dict[str, Any]:
    return {
        "domain": domain,
        "source": {"bucket": BUCKET, "directory": "in/", "files": "*.csv"},
        "format": {"multi_value": "|"},
        "link": [{"column": "id", "property": "customer_id"}, {"column": "mail", "property": "email"}],
        "allow_creation": True,
        "mappings": [
            {"column": "name", "property": "name"},
            {"column": "amount", "property": "total", "rule": "sum"},
            {"column": "tags", "property": "tags", "rule": "add"},
            {"column": "day", "property": "last"},
        ],
        **more,
    }


def first_file(rnd: random.Random) -> bytes:
    """300 customers, each with an e-mail address of their own."""
    return as_csv(
        [[f"C{n}", f"c{n}@example.com", f"Name {n}", f"{rnd.randint(1, 999)}.25", f"t{n % 3}|t{n % 5}", "2026-01-31"] for n in range(300)]
    )


def second_file(rnd: random.Random) -> bytes:
    """Known customers by either identifier, new ones, and everything that is rejected. No two rows contend for what nobody has."""
    rows: list[list[str]] = []
    for n in range(900):
        name, amount, day = rnd.choice(["", f"Name {n}"]), rnd.choice(["1.5", "2", "many", ""]), rnd.choice(["2026-02-01", "01/02/2026"])
        rows.append([f"C{rnd.randrange(400)}", "", name, amount, "t9|t1", day])
    rows += [["", f"c{rnd.randrange(300)}@example.com", "", "0.001", "", ""] for _ in range(200)]
    rows += [[f"C{n}", f"c{n + 1}@example.com", "", "", "", ""] for n in range(0, 60, 2)]  # another's address
    rows += [[f"C{n}", f"second{n}@example.com", "", "", "", ""] for n in range(100, 130)]
    rows += [["", "", "Nobody", "1", "", ""], ["C1", "", "too", "few"], ["", "no address", "", "1", "", ""]]
    rnd.shuffle(rows)
    return as_csv(rows)


def as_csv(rows: list[list[str]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows([COLUMNS, *rows])
    return out.getvalue().encode()


def everything(real: Pipeline) -> dict[str, Any]:
    """All that Redis, Kafka and S3 hold."""
    redis = real.store.client
    objects = connect(real.access, 1)
    listed = {bucket["Name"]: objects.list_object_versions(Bucket=bucket["Name"]) for bucket in objects.list_buckets()["Buckets"]}
    return {
        "redis": {key: redis.dump(key) for key in redis.scan_iter(count=10_000)},
        "kafka": watermarks(real.settings.kafka.bootstrap_servers),
        "s3": {
            name: [(one["Key"], one["VersionId"], one["ETag"], one["LastModified"]) for one in found.get("Versions", [])]
            for name, found in listed.items()
        },
        "uploads": {name: objects.list_multipart_uploads(Bucket=name).get("Uploads", []) for name in listed},
    }


def everything_at_rest(real: Pipeline) -> dict[str, Any]:
    """Once no partition has still to hear of another that an import is over: that takes a moment more than the import."""
    eventually(lambda: not list(real.store.client.scan_iter("*:outbox", count=10_000)), within=20, what="nothing waits in an outbox")
    return everything(real)


def watermarks(servers: str) -> dict[tuple[str, int], tuple[int, int]]:
    topics = AdminClient({"bootstrap.servers": servers}).list_topics(timeout=20).topics
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "test-watermarks", "enable.auto.commit": False})
    try:
        return {
            (name, partition): consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=20)
            for name, topic in topics.items()
            if name.startswith("headrace.")
            for partition in topic.partitions
        }
    finally:
        consumer.close()


def dried(real: Pipeline, connection: Connection, file: str = "") -> DryRun:
    goal = connection.import_goals[0]
    version = chosen_file(real.context, connection, goal, file)
    return dry_run(real.context, connection, goal, version)


def rejects_of(real: Pipeline, key: str) -> list[tuple[str, str, str]]:
    """(line, column, code) of the rejects file, in its order. Cells for which a row is rejected stand in one line there."""
    with real.objects.open(real.objects.head(BUCKET, key)) as stream:
        _, *rows = csv.reader(io.TextIOWrapper(io.BufferedReader(stream), encoding="utf-8-sig", newline=""))
    return [(row[LINE], *one) for row in rows for one in zip(row[COLUMN].split("; "), row[CODE].split("; "), strict=True)]


@pytest.mark.spec("B3", "R4")
@pytest.mark.parametrize("goal", [{}, {"on_bad_cell": "reject_row", "allow_creation": False}], ids=["lenient", "strict"])
def test_a_dry_run_gives_what_the_import_then_gives_and_changes_nothing(
    real: Pipeline, domain_name: str, monkeypatch: pytest.MonkeyPatch, goal: dict[str, Any]
) -> None:
    rnd = random.Random(7)
    monkeypatch.setattr(sample, "PROFILES", 1_000)
    connection = real.apply(shop(domain_name), customers(domain_name))
    real.put(BUCKET, "in/1.csv", first_file(rnd))
    with real.workers(domain_name):
        real.run(connection)
        connection = real.apply(shop(domain_name), customers(domain_name, on_change="skip", **goal))
        real.put(BUCKET, "in/2.csv", second_file(rnd))
        monkeypatch.setattr(batches, "BATCH_ROWS", 100)  # several of each partition
        before, untouched = real.profiles(domain_name), everything_at_rest(real)
        assert len(untouched["redis"]) > 300
        assert sum(last for _, last in untouched["kafka"].values()) > 0

        made, again = dried(real, connection), dried(real, connection)

        assert everything(real) == untouched
        assert again.outcomes == made.outcomes
        [result] = real.run(connection)
    after = real.profiles(domain_name)
    assert made.outcomes == result.outcomes
    assert made.outcomes.rejected > 2
    assert made.outcomes.updated > 100
    assert result.rejects_key is not None
    rejects = rejects_of(real, result.rejects_key)
    assert [(str(one.reject.line), one.reject.column or "", one.reject.reason) for one in made.sample] == rejects[: len(made.sample)]
    assert {(column or "", code.value): count for (column, code), count in made.rejects.items()} == counted(rejects)
    assert {one.identifier: one.after for one in made.profiles} == {
        name.hex(): one for name, one in after.items() if before.get(name) != one
    }
    assert {one.identifier: one.before for one in made.profiles if one.before is not None} == {
        name.hex(): one for name, one in before.items() if after[name] != one
    }
    assert made.new_profiles == len(after) - len(before) == made.outcomes.created
    assert (made.wanted_files, made.files.total(), made.warnings) == (1, 2, [])
    assert any(said.startswith("a run would leave this file alone: import 2") for said in dried(real, connection).warnings)


def counted(rejects: list[tuple[str, str, str]]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for _, column, code in rejects:
        found[column, code] = found.get((column, code), 0) + 1
    return found


@pytest.mark.spec("B3")
def test_an_open_import_is_said_and_its_claims_count_as_they_stand(real: Pipeline, domain_name: str) -> None:
    """Registered, and nobody drives it: the domain's next number is taken by it."""
    connection = real.apply(shop(domain_name), customers(domain_name, active=False))
    goal = connection.import_goals[0]
    real.put(BUCKET, "in/1.csv", first_file(random.Random(1)))
    [file] = scan_goal(real.context, connection, goal)
    register_import(real.context, connection, goal, file.version, "somebody")

    made = dried(real, connection)

    assert made.outcomes.created == 300
    assert any("an import of the domain is not over yet" in said for said in made.warnings)
    assert any("not active" in said for said in made.warnings)


@pytest.mark.spec("B3")
def test_a_file_that_no_run_would_import_is_played_all_the_same(real: Pipeline, domain_name: str) -> None:
    connection = real.apply(shop(domain_name), customers(domain_name))
    real.put(BUCKET, "elsewhere/x.csv", as_csv([["C1", "", "", "10", "", ""]]))

    made = dried(real, connection, "s3://crm/elsewhere/x.csv")

    assert made.outcomes.created == 1
    [change] = made.profiles
    assert (change.before, change.after) == (None, {"customer_id": "C1", "total": "10"})
    assert any("pattern does not match" in said for said in made.warnings)


def test_a_file_that_cannot_be_imported_is_refused_as_the_import_would(real: Pipeline, domain_name: str) -> None:
    connection = real.apply(shop(domain_name), customers(domain_name))
    with pytest.raises(TerminalError, match="NO_FILE: No file matches goal customers of connection crm: s3://crm/in/"):
        dried(real, connection)
    real.put(BUCKET, "in/1.csv", b"id,name\nC1,Ana\n")
    with pytest.raises(TerminalError, match=r"COLUMN_MISSING: in/1\.csv, line 1: there is no column 'mail'"):
        dried(real, connection)


def test_a_property_that_is_not_there_yet_is_said(real: Pipeline, domain_name: str) -> None:
    """A connection that was changed behind `apply`'s back."""
    connection = real.apply(shop(domain_name), customers(domain_name))
    real.put(BUCKET, "in/1.csv", first_file(random.Random(1)))
    mapped = [*customers(domain_name)["mappings"], {"column": "name", "property": "nickname"}]
    goal = connection.import_goals[0].model_copy(
        update={"mappings": tuple(type(connection.import_goals[0].mappings[0])(**one) for one in mapped)}
    )

    with pytest.raises(TerminalError, match=r"NO_SUCH_PROPERTY: Domain .* has no property 'nickname' yet. Run `headrace apply`"):
        dry_run(real.context, connection, goal, chosen_file(real.context, connection, goal, ""))


@pytest.mark.spec("B3")
def test_what_waits_among_partitions_is_bounded(real: Pipeline, domain_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever more waits than may, it is dealt with at once; the counts are the same."""
    connection = real.apply(shop(domain_name), customers(domain_name))
    real.put(BUCKET, "in/1.csv", first_file(random.Random(1)))
    monkeypatch.setattr(batches, "BATCH_ROWS", 10)
    unbounded = dried(real, connection).outcomes
    monkeypatch.setattr(run, "WAITING_BYTES", 0)
    most = 0
    apply = partitions.DryPartitions.apply

    def watched(self: partitions.DryPartitions, *arguments: Any) -> Any:
        nonlocal most
        done = apply(self, *arguments)
        most = max(most, self.waiting_bytes)
        return done

    monkeypatch.setattr(partitions.DryPartitions, "apply", watched)
    assert dried(real, connection).outcomes == unbounded
    assert 0 < most < 20_000


@pytest.mark.spec("M9")
def test_what_properties_hold_and_who_else_maps_them_is_found(real: Pipeline, domain_name: str) -> None:
    other = real.apply(shop(domain_name), customers(domain_name, name="Web", source={"bucket": BUCKET, "directory": "web/"}), "web")
    connection = real.apply(shop(domain_name), customers(domain_name, mappings=[{"column": "amount", "property": "total", "rule": "sum"}]))
    real.put(BUCKET, "in/1.csv", as_csv([["C1", "", "Ana", "10", "", ""]]))
    names = ["total", "name", "tags", "not_there"]

    def found() -> Existing:
        domain = registry.get_domain(real.store, domain_name)
        return existing_properties(real.store, domain, connection, connection.import_goals[0], names)

    assert found().holding == frozenset()
    with real.workers(domain_name):
        real.run(connection)
    assert found().holding == {"total"}
    assert found().elsewhere == {one.property: ["goal web of connection web"] for one in other.import_goals[0].mappings}
    assert found().warnings_of("total") == [
        "property 'total' already holds values",
        "property 'total' is also mapped by goal web of connection web",
    ]
