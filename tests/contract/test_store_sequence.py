"""The numbers of a domain's imports, who drives one, what becomes of it. On one node and on the cluster."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Literal
from unittest.mock import Mock

import pytest
import redis

from deployments.embedded.valkey import ValkeyServer
from headrace.errors import TransientError
from headrace.schema import DomainSchema, StoredProperty, encode_schema
from headrace.settings import KafkaSettings
from profile_store import counts, keys, ledger, sequence
from profile_store.ledger import LedgerEntry
from profile_store.recovery import Restored, disagreements, restore_registration
from profile_store.registration import Registration, fresh_token
from profile_store.sequence import SchemaMovedError
from profile_store.store import Store
from streaming.importing import register
from streaming.importing.context import ImportContext
from tests.contract.profile_stores import DOMAIN, PARTITIONS, dump, log_of_commands, registration_of, store_at, with_domain, work_of
from tests.polling import eventually
from tests.servers.valkey import RedisTarget

PLACE = ("crm", "in/a.csv")


@pytest.fixture
def domain(redis_target: RedisTarget) -> Store:
    return with_domain(store_at(redis_target.url, cluster=redis_target.cluster))


def numbered(store: Store, registration: Registration) -> Registration:
    import_seq, _ = sequence.register(store, registration, work_of(registration))
    return replace(registration, import_seq=import_seq)


def entry_for(registration: Registration, state: Literal["COMPLETE", "FAILED"] = "COMPLETE", rows: int = 3) -> LedgerEntry:
    return LedgerEntry(
        registration.needed_source.identity,
        registration.configuration,
        registration.import_seq,
        state,
        "2026-01-02T03:04:05.000Z",
        rows,
    )


def ended(store: Store, registration: Registration, state: Literal["COMPLETE", "FAILED"] = "COMPLETE") -> Registration:
    """An import as its end leaves it."""
    done = numbered(store, registration)
    sequence.put_result(store, DOMAIN, done.import_seq, {"state": state})
    counts.raise_floors(store, DOMAIN, PARTITIONS, done.import_seq)
    counts.drop_import(store, DOMAIN, PARTITIONS, done.import_seq)
    sequence.end(store, done, work_of(done), entry_for(done, state))
    return done


def ledger_entry(store: Store) -> LedgerEntry | None:
    return ledger.entry_of(ledger.read_ledger(store, DOMAIN, "crm", "customers"), *PLACE)


# --- numbers


def test_numbers_are_dense_and_the_same_work_keeps_its_own_while_it_is_open(domain: Store) -> None:
    first, second = registration_of("in/a.csv"), registration_of("in/b.csv")
    assert sequence.register(domain, first, work_of(first)) == (1, True)
    before = dump(domain)
    assert sequence.register(domain, replace(first, run_id="another"), work_of(first)) == (1, False)
    assert dump(domain).keys() == before.keys()
    assert sequence.register(domain, second, work_of(second)) == (2, True)
    known = sequence.load(domain, DOMAIN, 1)
    assert known == replace(first, import_seq=1)
    assert sequence.load(domain, DOMAIN, 3) is None


@pytest.mark.spec("B1")
def test_work_that_is_registered_again_keeps_its_token_and_other_work_has_another(domain: Store) -> None:
    """Messages carry it: a number that came round would make the messages of lost work those of other work."""
    first, again, other = (numbered(domain, registration_of(key)) for key in ("in/a.csv", "in/a.csv", "in/b.csv"))
    assert [len(one.token) for one in (first, again, other)] == [16] * 3
    assert first.import_seq == again.import_seq
    assert first.token != again.token, "the registration that lost is not the stored one"
    assert sequence.load_needed(domain, DOMAIN, first.import_seq).token == first.token
    assert sequence.load_needed(domain, DOMAIN, other.import_seq).token == other.token != first.token
    with pytest.raises(TransientError, match="NO_REGISTRATION"):
        sequence.load_needed(domain, DOMAIN, 3)


def test_a_plan_by_a_schema_that_moved_gets_no_number(domain: Store) -> None:
    planned = registration_of()
    change = Registration(DOMAIN, 0, "schema", "", "", "", None, None, schema_version=2, schema=encode_schema(DomainSchema(2, ())))
    assert sequence.register(domain, change, "schema 2") == (1, True)
    before = dump(domain)
    with pytest.raises(SchemaMovedError):
        sequence.register(domain, planned, work_of(planned))
    assert dump(domain) == before
    again = replace(planned, schema_version=2)
    assert sequence.register(domain, again, work_of(again)) == (2, True)


def test_of_two_changes_of_a_schema_at_once_the_second_is_planned_again(domain: Store) -> None:
    """Both made on version 1: in place of the first, the second would be a schema that lacks what the first has made."""
    first, second = (
        Registration(DOMAIN, 0, "schema", "", "", "", None, None, schema_version=2, schema=schema)
        for schema in (encode_schema(DomainSchema(2, ())), encode_schema(DomainSchema(2, (StoredProperty(0, "a", "text", False, False),))))
    )
    assert sequence.register(domain, first, register.schema_work(2)) == (1, True)
    context = ImportContext(domain, KafkaSettings(bootstrap_servers="127.0.0.1:1"), lambda _: Mock())
    assert register.numbered(context, first).import_seq == 1
    with pytest.raises(SchemaMovedError):
        register.numbered(context, second)
    sequence.end(domain, sequence.load_needed(domain, DOMAIN, 1), register.schema_work(2))
    before = dump(domain)
    with pytest.raises(SchemaMovedError):
        register.numbered(context, second)
    assert dump(domain) == before
    third = replace(second, schema_version=3, schema=encode_schema(DomainSchema(3, ())))
    assert register.numbered(context, third).import_seq == 2


@pytest.mark.spec("I10")
def test_a_run_that_scanned_before_another_had_imported_the_file_does_not_import_it_again(domain: Store) -> None:
    """Both saw a new file; one of them was slow. The work is no longer open when it registers, but the ledger knows it."""
    done = ended(domain, registration_of())
    before = dump(domain)
    slow = registration_of(run_id="slow")
    assert sequence.register(domain, slow, work_of(slow)) == (done.import_seq, False)
    assert dump(domain) == before


@pytest.mark.spec("I10")
@pytest.mark.parametrize(
    "changed",
    [registration_of(etag="e2"), registration_of(configuration="c2")],
    ids=["another file", "another configuration"],
)
def test_a_file_or_configuration_that_changed_is_imported_again(domain: Store, changed: Registration) -> None:
    ended(domain, registration_of())
    assert sequence.register(domain, changed, work_of(changed)) == (2, True)


@pytest.mark.spec("I10")
def test_a_failed_import_is_taken_up_again_under_a_new_number(domain: Store) -> None:
    ended(domain, registration_of(), "FAILED")
    again = registration_of()
    assert sequence.register(domain, again, work_of(again)) == (2, True)


@pytest.mark.spec("B1")
def test_a_registration_that_redis_lost_before_it_was_durable_is_no_registration(
    own_valkey: Callable[[], ValkeyServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number may be another import's by then: two files under one number would be merged under one plan."""
    server = own_valkey()
    store = with_domain(store_at(server.url))
    log = log_of_commands(server.options.data_directory)
    size = log.stat().st_size
    run_script = store.run_script

    def then_crash(*arguments: object) -> object:
        reply = run_script(*arguments)  # type: ignore[arg-type]
        server.kill()
        with log.open("r+b") as file:
            file.truncate(size)
        own_valkey()
        return reply

    monkeypatch.setattr(store, "run_script", then_crash)
    work = registration_of()
    with pytest.raises(TransientError):
        sequence.register(store, work, work_of(work))
    monkeypatch.undo()
    assert sequence.register(store, work, work_of(work)) == (1, True)


# --- what was lost is put back


@pytest.mark.spec("R5")
def test_a_registration_that_was_lost_is_put_back_under_its_number_and_token(domain: Store) -> None:
    first, second = (replace(registration_of(key), import_seq=number) for number, key in enumerate(("in/a.csv", "in/b.csv"), 1))
    before = dump(domain)
    assert restore_registration(domain, second, work_of(second)) is Restored.GAP
    assert dump(domain) == before
    for one in (first, second):
        assert restore_registration(domain, one, work_of(one)) is Restored.OK
        assert sequence.load(domain, DOMAIN, one.import_seq) == one
        assert sequence.register(domain, registration_of(one.needed_source.key), work_of(one)) == (one.import_seq, False), "it is open"
    after = dump(domain)
    assert restore_registration(domain, first, work_of(first)) is Restored.THERE
    assert restore_registration(domain, replace(first, token=fresh_token()), work_of(first)) is Restored.TAKEN
    assert dump(domain) == after
    assert disagreements(domain, DOMAIN, PARTITIONS) == []


@pytest.mark.spec("R5")
def test_a_change_of_schema_comes_back_with_its_schema_and_never_turns_it_back(domain: Store) -> None:
    for number, version in ((1, 3), (2, 2)):
        schema = encode_schema(DomainSchema(version, ()))
        change = Registration(DOMAIN, number, "schema", "", "", "", None, None, schema_version=version, schema=schema)
        assert restore_registration(domain, change, f"schema {version}") is Restored.OK
    assert json.loads(domain.client.get(keys.schema(DOMAIN)))["version"] == 3


# --- leases


def test_one_run_at_a_time_holds_a_lease_until_it_ends_or_expires(domain: Store) -> None:
    assert sequence.take_lease(domain, DOMAIN, 1, "a")
    assert sequence.take_lease(domain, DOMAIN, 1, "a")
    assert not sequence.take_lease(domain, DOMAIN, 1, "b")
    assert sequence.take_lease(domain, DOMAIN, 2, "b")
    assert 0 < domain.client.ttl(keys.lease(DOMAIN, 1)) <= sequence.LEASE_SECONDS
    sequence.drop_lease(domain, DOMAIN, 1)
    assert sequence.take_lease(domain, DOMAIN, 1, "b")
    domain.client.pexpire(keys.lease(DOMAIN, 1), 50)
    assert eventually(lambda: sequence.take_lease(domain, DOMAIN, 1, "a"), within=5, what="the lease expires")


def test_owners_are_not_the_same() -> None:
    assert len({sequence.fresh_owner() for _ in range(100)}) == 100


# --- the end


def test_the_turn_goes_on_when_an_import_ends(domain: Store) -> None:
    assert sequence.domain_floor(domain, DOMAIN) == 0
    done = ended(domain, registration_of())
    assert sequence.domain_floor(domain, DOMAIN) == done.import_seq == 1
    assert domain.client.hgetall(keys.open_imports(DOMAIN)) == {}
    before = dump(domain)
    sequence.end(domain, done, work_of(done))
    assert {**dump(domain), b"{retail}:mark": None} == {**before, b"{retail}:mark": None}


@pytest.mark.spec("M12", "B1")
def test_whoever_ends_an_import_late_does_not_turn_the_domain_back(domain: Store) -> None:
    """A run that was stopped in the end of its import, which another run finished: the domain is further by now."""
    late = ended(domain, registration_of("in/a.csv"))
    ended(domain, registration_of("in/b.csv"))
    before = dump(domain)
    sequence.end(domain, late, work_of(late))
    assert dump(domain) == before


@pytest.mark.spec("I10", "B1")
def test_whoever_ends_a_failed_import_late_leaves_the_next_attempt_open(domain: Store) -> None:
    """The same work under a new number: were it closed with the old one, a third run would give it a third number and import it twice."""
    late = ended(domain, registration_of(), "FAILED")
    again = numbered(domain, registration_of())
    sequence.end(domain, late, work_of(late))
    assert sequence.register(domain, registration_of(), work_of(late)) == (again.import_seq, False)


def test_no_turn_is_skipped(domain: Store) -> None:
    numbered(domain, registration_of("in/a.csv"))
    second = numbered(domain, registration_of("in/b.csv"))
    before = dump(domain)
    with pytest.raises(Exception, match="GAP"):
        sequence.end(domain, second, work_of(second))
    assert dump(domain) == before


# --- results


def test_the_result_on_record_is_the_first_one(domain: Store) -> None:
    """Two runs drove one import: the slower one meets a file that is gone, and must not make a failure of what is complete."""
    complete, failing, failed = ({"state": state, "created": 3} for state in ("COMPLETE", "FAILING", "FAILED"))
    assert sequence.read_result(domain, DOMAIN, 1) is None
    assert sequence.put_result(domain, DOMAIN, 1, complete) == complete
    for late in (failing, failed, {**complete, "created": 0}):
        assert sequence.put_result(domain, DOMAIN, 1, late) == complete
    assert sequence.read_result(domain, DOMAIN, 1) == complete
    assert sequence.put_result(domain, DOMAIN, 2, failing) == failing
    assert sequence.put_result(domain, DOMAIN, 2, complete) == failing
    assert sequence.put_result(domain, DOMAIN, 2, failed) == failed
    for late in (failing, complete, {**failed, "created": 0}):
        assert sequence.put_result(domain, DOMAIN, 2, late) == failed
    assert sequence.read_result(domain, DOMAIN, 2) == failed


# --- the ledger


@pytest.mark.spec("I10")
def test_the_ledger_says_what_the_last_import_of_a_file_was(domain: Store) -> None:
    assert ledger_entry(domain) is None
    done = ended(domain, registration_of())
    assert ledger_entry(domain) == entry_for(done)
    assert ledger.read_ledger(domain, DOMAIN, "crm", "another-goal") == {}
    newer = ended(domain, registration_of(etag="e2"))
    assert ledger_entry(domain) == entry_for(newer)


@pytest.mark.spec("I10", "B1")
def test_whoever_writes_the_ledger_late_changes_nothing(domain: Store) -> None:
    """It would have the file imported once more, sums and all."""
    first = ended(domain, registration_of())
    sequence.end(domain, first, work_of(first), entry_for(first, "FAILED", 0))
    assert ledger_entry(domain) == entry_for(first)
    newer = ended(domain, registration_of(etag="e2"))
    sequence.end(domain, first, work_of(first), entry_for(first))
    assert ledger_entry(domain) == entry_for(newer)


def test_a_registration_says_all_that_finishing_it_takes(domain: Store) -> None:
    work = numbered(domain, registration_of())
    stored = json.loads(domain.client.get(keys.registration(DOMAIN, work.import_seq)))
    assert stored["format"] == 1, "only replays need a newer release"
    assert sequence.load(domain, DOMAIN, work.import_seq) == work


def test_a_dead_redis_during_the_end_is_an_outage(own_valkey: Callable[[], ValkeyServer]) -> None:
    server = own_valkey()
    store = with_domain(store_at(server.url))
    work = numbered(store, registration_of())
    server.kill()
    with pytest.raises(TransientError):
        sequence.end(store, work, work_of(work))
    own_valkey()
    sequence.end(store, work, work_of(work))
    with redis.Redis.from_url(server.url) as client:
        assert client.get(keys.floor(DOMAIN)) == b"1"
