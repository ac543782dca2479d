"""While a cluster moves a slot, a part of its keys is on the next node: a script is refused before it has changed anything, and whoever repeats it succeeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from headrace.errors import TransientError
from headrace.segment_set import encode_segments, evolve
from profile_store import keys, sequence
from profile_store.generations import begin_generations, complete_generations, drop_old_generations, switch_complete
from profile_store.members import read_at_once
from profile_store.membership import membership_of
from profile_store.registration import Registration
from profile_store.segment_bits import read_segment_bits
from profile_store.segment_registry import read_segments, register_segments
from profile_store.store import Store
from profile_store.upload_jobs import register_upload
from tests.contract.profile_stores import DOMAIN, PARTITIONS, address, dump, registration_of, store_at, with_domain
from tests.contract.test_store_segments import bits, defined, schema_of, segment, with_profiles_after
from tests.servers.valkey import ValkeyCluster

OLD, NEW = "1.1", "1.3"
"""Generations of the segment: one that is live, with profiles 7 and 16, and one that is being built in partition 0."""


@pytest.fixture
def store(valkey_cluster: ValkeyCluster) -> Store:
    made = with_domain(store_at(valkey_cluster.url, cluster=True))
    defined(made, segment("vip", "a"))
    with_profiles_after(made, 1, 20)
    bits(made, keys.segment_members(DOMAIN, 0, OLD), 7, 16)
    defined(made, segment("vip", "b"))
    bits(made, keys.segment_members(DOMAIN, 0, NEW), 8)
    bits(made, keys.segment_touched(DOMAIN, 0, 3), 8)
    return made


@contextmanager
def half_moved(store: Store, *moved: str) -> Iterator[None]:
    """These keys of one slot are on the next node already; afterwards they are back, with whatever was written there, and the slot stays where it was."""
    source: Any = store.node_of(moved[0])
    target: Any = next(node for node in store.nodes() if node is not source)
    slot = source.execute_command("CLUSTER", "KEYSLOT", moved[0])
    target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", _name(source))
    source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", _name(target))
    try:
        _migrate(source, target, moved)
        yield
    finally:
        source.execute_command("CLUSTER", "SETSLOT", slot, "STABLE")
        while there := target.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
            _migrate(target, source, there)
        target.execute_command("CLUSTER", "SETSLOT", slot, "STABLE")


def _name(node: Any) -> str:
    name = node.execute_command("CLUSTER", "MYID")
    return name.decode() if isinstance(name, bytes) else str(name)


def _migrate(source: Any, target: Any, moved: Any) -> None:
    to = target.connection_pool.connection_kwargs
    source.execute_command("MIGRATE", to["host"], to["port"], "", 0, 10_000, "KEYS", *moved)


def refused(store: Store, moved: str, act: Callable[[], object]) -> None:
    """It is refused for now, changes nothing, and is done when the slot is in one place."""
    before = dump(store)
    with half_moved(store, moved), pytest.raises(TransientError, match="REDIS_UNAVAILABLE"):
        act()
    assert dump(store) == before
    act()


def test_a_drop_of_old_generations_is_refused(store: Store) -> None:
    complete_generations(store, DOMAIN, 0, {NEW: b"\0\0\0"})
    switch_complete(store, DOMAIN, PARTITIONS)
    old = keys.segment_members(DOMAIN, 0, OLD)
    refused(store, old, lambda: drop_old_generations(store, DOMAIN, PARTITIONS))
    assert old.encode() not in dump(store)


def test_a_begin_of_generations_is_refused(store: Store) -> None:
    """A change that leaves nothing of the segment."""
    after = evolve(read_segments(store, DOMAIN).defined, [], ("vip",), schema_of(store)).after
    change = Registration(DOMAIN, 4, "segments", "", "", "", None, None, schema_version=1, segments=encode_segments(after))
    begin_generations_of_others(store, change)
    refused(store, keys.segment_members(DOMAIN, 0, OLD), lambda: begin_generations(store, PARTITIONS, change))
    assert not [key for key in dump(store) if b"segment-members" in key or b"segment-touched" in key]


def begin_generations_of_others(store: Store, change: Registration) -> None:
    """The turn of every partition but the first, which `begin_generations` would come to later."""
    for partition in range(1, PARTITIONS):
        names = [keys.meta(DOMAIN, partition), keys.segment_generations(DOMAIN, partition), keys.nothing(DOMAIN, partition)]
        store.run_script("begin_generations", names, [change.import_seq, keys.partition_tag(DOMAIN, partition)])


def test_a_completion_is_refused(store: Store) -> None:
    refused(store, keys.segment_touched(DOMAIN, 0, 3), lambda: complete_generations(store, DOMAIN, 0, {NEW: b"\0\0\0"}))
    assert read_segment_bits(store, DOMAIN, 0)[1].touched == ()


def test_a_read_of_bits_is_refused(store: Store) -> None:
    refused(store, keys.segment_members(DOMAIN, 0, OLD), lambda: read_segment_bits(store, DOMAIN, 0))


def test_a_question_for_members_is_refused(store: Store) -> None:
    """Whose record is on the next node."""
    refused(store, record_of(7), lambda: membership_of(store, DOMAIN, PARTITIONS, 1, [address(7)]))


def test_a_read_of_all_members_is_refused(store: Store) -> None:
    refused(store, record_of(7), lambda: list(read_at_once(store, DOMAIN, 0, [1]).chunks))


def record_of(number: int) -> str:
    return (keys.address_prefix(DOMAIN, 0) + address(number)).decode()


def test_a_registration_is_refused(store: Store) -> None:
    """Else its number would be taken, and stand for nothing: no import could have its turn after it."""
    store.client.hset(keys.open_imports(DOMAIN), "somebody else's", 9)
    registration = registration_of()
    store.client.hset(keys.ledger(DOMAIN, registration.connection, registration.goal), "a file", "{}")
    refused(store, keys.domain(DOMAIN), lambda: sequence.register(store, registration, "work"))
    assert store.client.get(keys.sequence(DOMAIN)) == b"4"


def test_a_registration_of_segments_is_refused(store: Store) -> None:
    store.client.hset(keys.open_imports(DOMAIN), "somebody else's", 9)
    after = evolve(read_segments(store, DOMAIN).defined, [segment("new", "c")], (), schema_of(store)).after
    change = Registration(DOMAIN, 0, "segments", "", "", "", None, None, schema_version=1, segments=encode_segments(after))
    refused(store, keys.domain(DOMAIN), lambda: register_segments(store, change, "work", after, []))
    assert store.client.get(keys.sequence(DOMAIN)) == b"4"


def test_a_registration_of_an_upload_is_refused(store: Store) -> None:
    store.client.hset(keys.open_imports(DOMAIN), "somebody else's", 9)
    registration = replace(registration_of(), upload="0" * 32)
    store.client.hset(keys.upload_job(DOMAIN, registration.upload), "status", "IN_PROGRESS")
    refused(store, keys.domain(DOMAIN), lambda: register_upload(store, registration, "work"))
    assert store.client.get(keys.sequence(DOMAIN)) == b"4"
