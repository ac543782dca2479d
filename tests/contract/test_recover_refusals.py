"""What `headrace recover` does where not everything can come back, and what it refuses to make worse (SPEC R5)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from confluent_kafka.admin import AdminClient

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.address import address_of
from headrace.errors import HeadraceError
from object_store.access import connect
from profile_store import keys, registry, sequence
from profile_store.recovery import disagreements
from profile_store.registration import Registration
from streaming.importing.announce import StoreBehindError, announce
from streaming.importing.await_turn import finish
from streaming.importing.change_goals import delete_goal
from streaming.importing.close import fail_import
from streaming.importing.erase import register_erasure
from streaming.importing.recover import NotRecoverableError, forgotten_domains, recover
from streaming.imports_topic import KnownImport, read_imports, write_imports
from streaming.kafka import client_config, imports_topic
from streaming.topics import partitions_of
from tests.contract.lost_store import PARTITIONS, World, goal, goals, people, table
from tests.pipeline import access_to, pipeline
from tests.polling import eventually


@pytest.fixture
def world(
    own_valkey: Callable[[], ValkeyServer], apache_kafka: str, empty_s3: S3Server, domain_name: str, monkeypatch: pytest.MonkeyPatch
) -> World:
    monkeypatch.setattr("streaming.split.batches.BATCH_ROWS", 200)
    server = own_valkey()
    real = pipeline(server.url, apache_kafka, access_to(empty_s3))
    real.make_bucket("crm")
    return World(real, server, own_valkey, domain_name)


def hash_of(world: World, key: str) -> dict[str, str]:
    with redis.Redis.from_url(world.server.url, decode_responses=True) as client:
        found: Any = client.hgetall(key)
    return dict(found)


def write(world: World, key: str, field: str, value: object) -> None:
    with redis.Redis.from_url(world.server.url) as client:
        client.hset(key, field, str(value))


@pytest.mark.spec("R5", "I10")
def test_an_import_that_had_failed_and_was_repeated_does_not_count_twice(world: World) -> None:
    """Number 2 failed with some rows applied, number 3 imported the file again. Both are lost: were 2 to succeed this time, 3 would add it all again."""
    context, rows = world.real.context, table(2)
    with world.real.workers(world.domain):
        world.imports(0, "a.csv", table(1))
        backup = world.backup()
        failing = world.begins(0, "b.csv", rows)
        world.await_rows(2, 300)
        assert fail_import(context, failing, "somebody pulled the plug").state == "FAILED"
        assert [(one.registration.import_seq, one.state) for one in world.real.run(world.connection)] == [(3, "COMPLETE")]
        world.restore(backup)
        world.expect(0, rows)
        found = recover(context, world.domain, "operator").imports
    assert [(one.registration.import_seq, one.failed_before, one.result and one.result.state) for one in found] == [
        (2, True, "FAILED"),
        (3, False, "COMPLETE"),
    ]
    assert world.real.profiles(world.domain) == world.oracle


@pytest.mark.spec("R5")
def test_a_file_that_was_complete_twice_counts_twice_again(world: World) -> None:
    """The goal was removed in between, and defined again: it knew no file any more, and the sums were added once more."""
    context, rows = world.real.context, table(2)
    with world.real.workers(world.domain):
        world.imports(0, "a.csv", table(1))
        backup = world.backup()
        world.imports(0, "b.csv", rows)
        delete_goal(world.real.store, "crm", world.connection.import_goals[0].id)
        world.connection = world.apply()
        world.expect(0, table(1))
        world.expect(0, rows)
        assert [(one.registration.import_seq, one.state) for one in world.real.run(world.connection)] == [(3, "COMPLETE"), (4, "COMPLETE")]
        world.restore(backup)
        found = recover(context, world.domain, "operator").imports
    assert [(one.registration.import_seq, one.failed_before, one.result and one.result.state) for one in found] == [
        (number, False, "COMPLETE") for number in (2, 3, 4)
    ]
    assert world.real.profiles(world.domain) == world.oracle


@pytest.mark.spec("R5", "I12")
def test_an_import_whose_file_is_gone_is_closed_failed_and_holds_nobody_up(world: World, tmp_path: Path) -> None:
    rows = table(3)
    with world.real.workers(world.domain):
        world.imports(0, "a.csv", table(1))
        backup = world.backup()
        world.put(0, "gone.csv", table(2))
        assert [one.state for one in world.real.run(world.connection)] == ["COMPLETE"]
        world.put(1, "c.csv", rows)
        assert [one.state for one in world.real.run(world.connection)] == ["COMPLETE"]
        connect(world.real.access, 1).delete_object(Bucket="crm", Key="by-id/gone.csv")
        world.restore(backup)
        world.expect(1, rows)
        log = tmp_path / "recover.log"
        with world.real.process("-m", "headrace", "recover", world.domain, log=log) as process:
            assert process.wait(120) == 1, "what was lost is not all there again"
    assert "SOURCE_CHANGED" in log.read_text()
    states = [sequence.read_result(world.real.store, world.domain, number) for number in (1, 2, 3)]
    assert [one and one["state"] for one in states] == ["COMPLETE", "FAILED", "COMPLETE"]
    assert world.real.profiles(world.domain) == world.oracle


@pytest.mark.spec("R5")
def test_a_bucket_that_can_not_be_read_leaves_the_import_open(world: World) -> None:
    backup = world.backup()
    rows = table(1)
    with world.real.workers(world.domain):
        world.imports(0, "a.csv", rows)
        world.restore(backup)
        connect(world.real.access, 1).delete_object(Bucket="crm", Key="by-id/a.csv")
        connect(world.real.access, 1).delete_bucket(Bucket="crm")
        with pytest.raises(NotRecoverableError, match="no such bucket"):
            recover(world.real.context, world.domain, "operator")
    assert sequence.read_result(world.real.store, world.domain, 1) is None
    assert (sequence.last_number(world.real.store, world.domain), sequence.domain_floor(world.real.store, world.domain)) == (1, 0)


@pytest.mark.spec("R5", "M9")
def test_a_change_of_schema_and_a_connection_that_came_after_the_backup(world: World) -> None:
    """Its properties come back by themselves; the connection has to be applied again, and that is said before anything is closed FAILED."""
    context, domain, rows = world.real.context, world.domain, table(2)
    later = goal(domain, "later", "id")
    later["mappings"].append({"column": "amount", "property": "last_amount", "rule": "set"})
    with world.real.workers(domain):
        world.imports(0, "a.csv", table(1))
        backup = world.backup()
        connection = world.real.apply_goals(people(domain), [later], "later")
        schema = registry.get_domain(world.real.store, domain).schema
        world.real.put("crm", "later/b.csv", "\n".join(["id,mail,amount", *(",".join(one.values()) for one in rows)]).encode())
        assert [one.registration.import_seq for one in world.real.run(connection)] == [3]
        profiles = world.real.profiles(domain)
        world.restore(backup)
        with pytest.raises(StoreBehindError):
            world.real.apply_goals(people(domain), [later], "later")
        with pytest.raises(NotRecoverableError, match="later"):
            recover(context, domain, "operator")
        world.real.apply_goals(people(domain), [later], "later")
        found = recover(context, domain, "operator").imports
    assert [(one.registration.kind, one.registration.import_seq) for one in found][-1:] == [("import", 3)]
    assert registry.get_domain(world.real.store, domain).schema == schema
    assert world.real.profiles(domain) == profiles
    assert {hash_of(world, keys.meta(domain, partition))["schema"] for partition in range(PARTITIONS)} == {"2"}


@pytest.mark.spec("R5", "P2")
def test_somebody_who_was_erased_after_the_backup_is_erased_again(world: World) -> None:
    context, domain, rows = world.real.context, world.domain, table(1)
    gone = address_of(bytes.fromhex(registry.get_domain(world.real.store, domain).address_key), "customer_id", rows[0]["id"])
    with world.real.workers(domain):
        world.imports(0, "a.csv", rows)
        backup = world.backup()
        assert finish(context, register_erasure(context, domain, gone, suppress=True), "operator").outcomes.updated == 1
        world.restore(backup)
        assert gone in world.real.profiles(domain)
        [erasure] = recover(context, domain, "operator").imports
        assert (erasure.registration.kind, erasure.lost, erasure.result and erasure.result.state) == ("erase", True, "COMPLETE")
        there = world.real.profiles(domain)
        assert there == {address: profile for address, profile in world.oracle.items() if address != gone}
        world.put(0, "again.csv", rows[:1])
        [again] = world.real.run(world.connection)
    assert again.outcomes.skipped == 1
    assert world.real.profiles(domain) == there


@pytest.mark.spec("R5")
def test_a_store_that_is_older_than_the_domain(world: World, tmp_path: Path) -> None:
    with world.real.workers(world.domain):
        world.imports(0, "a.csv", table(1))
        world.imports(1, "b.csv", table(2))
    with redis.Redis.from_url(world.server.url) as client:
        client.flushall()
    assert world.domain in forgotten_domains(world.real.context)
    log = tmp_path / "recover.log"
    with world.real.process("-m", "headrace", "recover", log=log) as process:
        assert process.wait(120) == 1
    assert "NO_SUCH_DOMAIN" in log.read_text()
    assert world.domain in log.read_text()
    world.apply()
    with world.real.workers(world.domain):
        recover(world.real.context, world.domain, "operator")
    world.is_as_expected()


@pytest.mark.spec("R5")
def test_another_domain_of_the_same_name_is_not_filled_with_the_values_of_the_old_one(world: World) -> None:
    with world.real.workers(world.domain):
        world.imports(0, "a.csv", table(1))
    for change, said in (({"partitions": 8}, "partitions"), ({}, "another order")):
        with redis.Redis.from_url(world.server.url) as client:
            client.flushall()
        other = {**people(world.domain), **change}
        other["properties"] = other["properties"][:1] + other["properties"][:0:-1]
        with pytest.raises(HeadraceError) as refused:
            _apply_and_recover(world, other)
        assert refused.value.code in ("WRONG_TOPIC", "NOT_RECOVERABLE")
        assert said in str(refused.value)
        assert sequence.last_number(world.real.store, world.domain) == 0


def _apply_and_recover(world: World, domain: dict[str, Any]) -> None:
    world.real.apply_goals(domain, goals(world.domain))
    recover(world.real.context, world.domain, "operator")


@pytest.mark.spec("R5", "B1")
def test_a_number_that_was_given_to_other_work_is_an_error(world: World) -> None:
    """By a release that did not look, or in the moment of the restore."""
    context, domain = world.real.context, world.domain
    backup = world.backup()
    world.begins(0, "a.csv", table(1))
    known = read_imports(context.kafka, domain)
    world.restore(backup)
    mine = world.connection.import_goals[1]
    other = Registration(
        domain, 0, "import", "crm", mine.id, "run-9", known[1].registration.source, known[1].registration.plan, "other", 1, 1
    )
    assert sequence.register(world.real.store, other, "other work") == (1, True)
    with pytest.raises(NotRecoverableError, match="other work"):
        recover(context, domain, "operator")
    with pytest.raises(StoreBehindError, match="as other work"):
        announce(context, sequence.load_needed(world.real.store, domain, 1))
    assert sequence.load_needed(world.real.store, domain, 1).token == other.token


@pytest.mark.spec("R5")
def test_imports_of_another_splitter_are_left_open(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed FAILED, they would have to be imported again, whatever of them is there."""
    backup = world.backup()
    world.begins(0, "a.csv", table(1))
    world.restore(backup)
    monkeypatch.setattr("streaming.importing.recover.SPLITTER_FORMAT", 2)
    with pytest.raises(NotRecoverableError, match="with the release that imported it"):
        recover(world.real.context, world.domain, "operator")
    assert sequence.read_result(world.real.store, world.domain, 1) is None


@pytest.mark.spec("R5")
def test_a_hole_in_what_kafka_knows_is_an_error_and_nothing_is_put_back(world: World) -> None:
    context, domain = world.real.context, world.domain
    backup = world.backup()
    first = world.begins(0, "a.csv", table(1))
    write_imports(context.kafka, [KnownImport(Registration.from_json(domain, 3, first.as_json()))])
    world.restore(backup)
    with pytest.raises(NotRecoverableError, match=r"Import 2 of domain \w+ is neither"):
        recover(context, domain, "operator")
    assert sequence.last_number(world.real.store, domain) == 0


@pytest.mark.spec("R5")
def test_parts_of_different_moments_are_refused(world: World) -> None:
    """Nodes of a cluster that were restored from backups of different times, seen in the numbers that partitions have of each other."""
    domain, store = world.domain, world.real.store
    assert disagreements(store, domain, PARTITIONS) == []
    write(world, keys.fence(domain, 0), "to:1", 5)
    write(world, keys.fence(domain, 1), "from:0", 6)
    assert disagreements(store, domain, PARTITIONS) == ["partition 1 has message 6 of partition 0, which has sent 5"]
    with pytest.raises(NotRecoverableError, match="message 6 of partition 0"):
        recover(world.real.context, domain, "operator")
    write(world, keys.fence(domain, 0), "to:1", 8)
    write(world, keys.outbox(domain, 0), "1:8", "what partition 0 has for partition 1")
    assert disagreements(store, domain, PARTITIONS) == ["partition 1 lacks message 7 of partition 0, which has deleted it"]
    write(world, keys.outbox(domain, 0), "1:7", "what partition 0 has for partition 1")
    assert disagreements(store, domain, PARTITIONS) == []
    write(world, keys.meta(domain, 2), "floor", 1)
    assert disagreements(store, domain, PARTITIONS) == ["partition 2 has ended import 1, the domain 0"]
    with redis.Redis.from_url(world.server.url) as client:
        client.set(keys.floor(domain), 1)
    assert disagreements(store, domain, PARTITIONS) == [f"partition {n} has ended import 0, the domain 1" for n in (0, 1, 3)]


@pytest.mark.spec("R5")
def test_an_imports_topic_that_was_deleted_is_written_again_with_the_next_import(world: World) -> None:
    context = world.real.context
    kafka, topic = context.kafka, imports_topic(context.kafka, world.domain)
    with world.real.workers(world.domain):
        world.imports(0, "a.csv", table(1))
        admin = AdminClient(client_config(kafka))
        admin.delete_topics([topic])[topic].result(30)
        eventually(lambda: partitions_of(kafka, topic) == 0, within=30, what="the imports topic is gone")
        world.imports(1, "b.csv", table(2))
    known = read_imports(kafka, world.domain)
    assert known == {number: KnownImport(sequence.load_needed(world.real.store, world.domain, number), "COMPLETE") for number in (1, 2)}
