"""Domains, connections and run history as they are stored. On one node and on the cluster."""

from __future__ import annotations

import pytest

from headrace.address import domain_key
from headrace.connections import Connection
from headrace.domains import Domain
from headrace.errors import TerminalError
from headrace.schema import initial_schema
from profile_store import registry, runs
from profile_store.partitions import commit
from profile_store.store import Store
from tests.contract.profile_stores import DOMAIN, PARTITIONS, dump, new_profiles, owned, store_at, with_domain
from tests.servers.valkey import RedisTarget


@pytest.fixture
def store(redis_target: RedisTarget) -> Store:
    return store_at(redis_target.url, cluster=redis_target.cluster)


def connection(name: str = "crm", description: str = "") -> Connection:
    return Connection.model_validate({"version": 1, "kind": "connection", "name": name, "description": description})


def test_a_domain_is_found_as_it_was_made(store: Store) -> None:
    assert registry.find_domain(store, DOMAIN) is None
    assert registry.domain_names(store) == ()
    with_domain(store)
    found = registry.get_domain(store, DOMAIN)
    assert (found.name, found.partitions) == (DOMAIN, PARTITIONS)
    assert found.schema == initial_schema(found.definition)
    assert bytes.fromhex(found.address_key) == domain_key(DOMAIN, "")
    assert registry.domain_names(store) == (DOMAIN,)
    assert [owned(store, partition).floor for partition in range(PARTITIONS)] == [0] * PARTITIONS


def test_making_a_domain_again_after_half_of_it_keeps_what_is_there(store: Store) -> None:
    with_domain(store)
    commit(store, owned(store), new_profiles(0, range(3)))
    before = dump(store)
    with_domain(store)
    assert dump(store) == before


def test_a_definition_changes_and_the_key_of_its_addresses_stays(store: Store) -> None:
    made = registry.get_domain(with_domain(store), DOMAIN)
    changed = Domain.model_validate({**made.definition.model_dump(mode="json"), "objectives": ["newsletter"]})
    registry.put_definition(store, changed, made.address_key)
    found = registry.get_domain(store, DOMAIN)
    assert found.definition == changed
    assert (found.address_key, found.schema) == (made.address_key, made.schema)


def test_whether_a_domain_has_profiles(store: Store) -> None:
    made = registry.get_domain(with_domain(store), DOMAIN)
    assert not registry.has_profiles(store, made)
    commit(store, owned(store), new_profiles(0, range(1)))
    assert registry.has_profiles(store, made)


def test_what_is_not_there_is_said_with_what_is(store: Store) -> None:
    with_domain(store)
    registry.put_connection(store, connection("crm"))
    with pytest.raises(TerminalError, match=f"no domain wholesale; there are: {DOMAIN}") as no_domain:
        registry.get_domain(store, "wholesale")
    with pytest.raises(TerminalError, match="no connection shop; there are: crm") as no_connection:
        registry.get_connection(store, "shop")
    assert (no_domain.value.code, no_connection.value.code) == ("NO_SUCH_DOMAIN", "NO_SUCH_CONNECTION")


def test_connections_are_found_as_they_were_put_last(store: Store) -> None:
    assert registry.connection_names(store) == ()
    registry.put_connection(store, connection("b", "first"))
    registry.put_connection(store, connection("a"))
    registry.put_connection(store, connection("b", "second"))
    assert registry.connection_names(store) == ("a", "b")
    assert registry.get_connection(store, "b") == connection("b", "second")


# --- runs


def run(number: int, state: runs.RunState = "COMPLETE") -> runs.RunRecord:
    started = f"2026-01-02T03:04:{number:02d}.000Z"
    file = runs.RunFile(
        "crm", "in/a.csv", number, state, 3, {"created": 2, "rejected": 1, "cells": 4}, 1.5, "in/_headrace/rejects/x.csv", "why"
    )
    # Ids say nothing of the order: here they go the other way.
    return runs.RunRecord(f"run-{9 - number}", "crm", "customers", state, started, started, "", [file], [("in/b.csv", "imported before")])


@pytest.mark.spec("R1")
def test_a_run_is_read_as_it_was_written(store: Store) -> None:
    assert runs.read_run(store, "run-8") is None
    runs.write_run(store, run(1, "FAILED"))
    found = runs.read_run(store, "run-8")
    assert found == run(1, "FAILED")
    assert found.files[0].counts.rows == 3


@pytest.mark.spec("R1")
def test_runs_are_listed_newest_first_each_once(store: Store) -> None:
    assert runs.list_runs(store, "crm") == []
    for number in (2, 1, 3):
        runs.write_run(store, run(number, "RUNNING"))
    for number in (1, 2, 3):
        runs.write_run(store, run(number))
    assert runs.list_runs(store, "crm") == [run(3), run(2), run(1)]
    assert runs.list_runs(store, "crm", most=2) == [run(3), run(2)]
    assert runs.list_runs(store, "other") == []
