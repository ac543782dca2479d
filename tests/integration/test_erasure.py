"""Erasure of one profile, through the real path (SPEC P2)."""

from __future__ import annotations

import pytest

from deployments.embedded.s3 import S3Server
from headrace.address import address_of, partition_of
from headrace.outcomes import Outcomes
from profile_store import registry, sequence
from profile_store.partitions import read_profiles
from profile_store.profiles import read_profile
from profile_store.records import SUPPRESSION
from streaming.importing.await_turn import finish
from streaming.importing.close import ImportResult
from streaming.importing.erase import publish_order, register_erasure
from streaming.importing.publish import publish_rows
from streaming.importing.register import register_import
from streaming.importing.scan import scan_goal
from tests.files import csv_bytes
from tests.integration.test_identifiers import COLUMNS, goal, people
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually
from tests.servers.valkey import RedisTarget

ROWS = [
    {"id": "C1", "mail": "a@example.com", "phone": "+1", "amount": "1", "tier": "x"},
    {"id": "C2", "mail": "b@example.com", "phone": "+2", "amount": "2", "tier": "x"},
    {"id": "C1", "mail": "c@example.com", "phone": "", "amount": "3", "tier": ""},
]


@pytest.fixture
def real(redis_target: RedisTarget, apache_kafka: str, empty_s3: S3Server) -> Pipeline:
    made = pipeline(redis_target.url, apache_kafka, access_to(empty_s3), cluster=redis_target.cluster)
    made.make_bucket("crm")
    return made


def address(real: Pipeline, domain: str, name: str, value: str) -> bytes:
    return address_of(bytes.fromhex(registry.get_domain(real.store, domain).address_key), name, value)


def erase(real: Pipeline, domain: str, name: str, value: str, *, suppress: bool = False) -> ImportResult:
    return finish(real.context, register_erasure(real.context, domain, address(real, domain, name, value), suppress), "eraser")


def raw(real: Pipeline, domain: str, place: bytes) -> bytes | None:
    partition = partition_of(place, registry.get_domain(real.store, domain).partitions)
    [found] = read_profiles(real.store, domain, partition, [place])
    return found


@pytest.mark.spec("P2")
def test_a_profile_goes_with_every_address_and_a_later_file_makes_it_anew(real: Pipeline, domain_name: str) -> None:
    link = [{"column": "id", "property": "customer_id"}]
    connection = real.apply_goals(people(domain_name), [goal(domain_name, "first", link, mail="set", phone="set", amount="sum")])
    real.put("crm", "first/a.csv", csv_bytes(ROWS, COLUMNS))
    with real.workers(domain_name, 2):
        assert [one.state for one in real.run(connection)] == ["COMPLETE"]
        assert len(real.holders(domain_name)) == 7
        stored = registry.get_domain(real.store, domain_name)
        found = read_profile(real.store, stored, address(real, domain_name, "email", "a@example.com"))
        assert found is not None
        assert found.values["total"] == "4"
        # By a value that it had once, and that is bound to it still.
        result = erase(real, domain_name, "email", "a@example.com")
        assert (result.state, result.outcomes) == ("COMPLETE", Outcomes(updated=1))
        left = real.holders(domain_name)
        assert set(left.values()) == {address(real, domain_name, "customer_id", "C2")}
        assert len(left) == 3
        assert set(real.profiles(domain_name)) == set(left.values())
        # Older messages of the file change nothing.
        publish_rows(real.context, sequence.load_needed(real.store, domain_name, 1))
        assert erase(real, domain_name, "customer_id", "nobody").outcomes == Outcomes(skipped=1)
        assert real.holders(domain_name) == left
        real.put("crm", "first/b.csv", csv_bytes(ROWS[:1], COLUMNS))
        assert [one.outcomes for one in real.run(connection)] == [Outcomes(created=1)]
    anew = real.profiles(domain_name)[address(real, domain_name, "customer_id", "C1")]
    assert anew == {"customer_id": "C1", "email": "a@example.com", "phone": "+1", "total": "1"}


@pytest.mark.spec("P2")
def test_what_is_suppressed_never_comes_back(real: Pipeline, domain_name: str) -> None:
    link = [{"column": "id", "property": "customer_id"}]
    goals = [
        goal(domain_name, "first", link, mail="set", phone="set", amount="sum"),
        goal(domain_name, "second", [{"column": "mail", "property": "email"}], amount="sum"),
    ]
    connection = real.apply_goals(people(domain_name), goals)
    real.put("crm", "first/a.csv", csv_bytes(ROWS, COLUMNS))
    with real.workers(domain_name, 2):
        real.run(connection)
        gone = [one for one, holder in real.holders(domain_name).items() if holder == address(real, domain_name, "customer_id", "C1")]
        assert len(gone) == 4
        assert erase(real, domain_name, "phone", "+1", suppress=True).outcomes == Outcomes(updated=1)
        assert [raw(real, domain_name, one) for one in gone] == [SUPPRESSION] * 4
        real.put("crm", "first/b.csv", csv_bytes(ROWS[:1], COLUMNS))
        real.put("crm", "second/c.csv", csv_bytes(ROWS, COLUMNS))
        first, second = (one.outcomes for one in real.run(connection))
        assert first == Outcomes(skipped=1)
        assert second == Outcomes(updated=1, skipped=2)
        # Another profile can't take a suppressed identifier either.
        real.put("crm", "first/d.csv", csv_bytes([ROWS[0] | {"id": "C3"}], COLUMNS))
        [third] = (one.outcomes for one in real.run(connection))
        assert third == Outcomes(created=1, cells=2)
    assert "email" not in real.profiles(domain_name)[address(real, domain_name, "customer_id", "C3")]
    assert [raw(real, domain_name, one) for one in gone] == [SUPPRESSION] * 4


@pytest.mark.spec("P2")
def test_an_erasure_asked_for_during_an_import_comes_behind_it(real: Pipeline, domain_name: str) -> None:
    link = [{"column": "id", "property": "customer_id"}]
    connection = real.apply_goals(people(domain_name), [goal(domain_name, "first", link, mail="set", amount="sum")])
    real.put("crm", "first/a.csv", csv_bytes(ROWS, COLUMNS))
    [found] = scan_goal(real.context, connection, connection.import_goals[0])
    importing = register_import(real.context, connection, connection.import_goals[0], found.version, "run")
    erasing = register_erasure(real.context, domain_name, address(real, domain_name, "customer_id", "C1"), suppress=False)
    assert (importing.import_seq, erasing.import_seq) == (1, 2)
    assert register_erasure(real.context, domain_name, address(real, domain_name, "customer_id", "C1"), suppress=False) == erasing
    publish_order(real.context, erasing)  # its message is there before the import's: it waits for its turn
    with real.workers(domain_name, 2):
        # Whoever asks for the erasure finishes the import that nobody drives.
        result = finish(real.context, erasing, "eraser")
        assert result.outcomes == Outcomes(updated=1)
        eventually(lambda: len(real.profiles(domain_name)) == 1, within=10, what="only the other profile is left")
    assert set(real.holders(domain_name).values()) == {address(real, domain_name, "customer_id", "C2")}
