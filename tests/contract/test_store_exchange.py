"""The profiles that a connection has imported, written by the commit: all of it or nothing. On one node and on the cluster."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from headrace.domains import Domain
from headrace.schema import initial_schema
from profile_store import keys
from profile_store.exchange import Exchange, read_exchange
from profile_store.partitions import CommitStatus, PartitionState, commit
from profile_store.registry import create_domain
from profile_store.seen import read_seen
from profile_store.store import Store
from tests.contract.profile_stores import DOMAIN, PARTITIONS, dump, new_profiles, owned, store_at
from tests.servers.valkey import RedisTarget

OTHER = "hospitality"


@pytest.fixture
def store(redis_target: RedisTarget) -> Store:
    found = store_at(redis_target.url, cluster=redis_target.cluster)
    for name in (DOMAIN, OTHER):
        domain = Domain.model_construct(
            version=1, kind="domain", name=name, partitions=PARTITIONS, properties=(), group_types=(), objectives=()
        )
        create_domain(found, domain, initial_schema(domain), "")
    return found


def looking_at(store: Store, state: PartitionState, connection: str = "crm") -> PartitionState:
    token, seen = read_seen(store, state.domain, state.partition, connection)
    assert token == state.token
    return replace(state, seen=seen)


def importing(store: Store, state: PartitionState, batch_no: int, numbers: range) -> tuple[CommitStatus, PartitionState]:
    """A batch that makes these profiles."""
    assert state.seen is not None
    return commit(
        store, state, replace(new_profiles(batch_no, numbers), seen=state.seen.spans_with(np.arange(numbers.start, numbers.stop)))
    )


@pytest.mark.spec("R3")
def test_profiles_count_once_for_each_connection_and_domain(store: Store) -> None:
    state = looking_at(store, owned(store))
    _, state = importing(store, state, 0, range(10))
    _, state = importing(store, state, 1, range(10, 30))
    _, state = commit(
        store, state, replace(new_profiles(2, range(30, 30)), seen=state.seen.spans_with(np.arange(5, 15)) if state.seen else ())
    )
    state = looking_at(store, state, "web")
    _, state = importing(store, state, 3, range(30, 33))
    importing(store, looking_at(store, owned(store, partition=3)), 0, range(7))
    importing(store, looking_at(store, owned(store, domain=OTHER)), 0, range(2))
    assert read_exchange(store, ["crm", "web", "new"]) == [
        Exchange("crm", OTHER, 2),
        Exchange("crm", DOMAIN, 37),
        Exchange("web", DOMAIN, 3),
    ]


@pytest.mark.spec("R3", "B1")
def test_a_commit_that_is_refused_leaves_them_as_they_were(store: Store) -> None:
    zombie = looking_at(store, owned(store))
    _, zombie = importing(store, zombie, 0, range(10))
    heir = looking_at(store, owned(store))
    before = dump(store)
    assert importing(store, zombie, 1, range(10, 20))[0] is CommitStatus.TOKEN
    assert importing(store, heir, 0, range(10, 20))[0] is CommitStatus.APPLIED
    assert dump(store) == before
    assert heir.seen is not None
    assert len(heir.seen.spans_with(np.arange(10, 20))) == 1, "nor does the worker take them for written"
    assert importing(store, heir, 1, range(10, 20))[0] is CommitStatus.OK
    assert read_exchange(store, ["crm"]) == [Exchange("crm", DOMAIN, 20)]


@pytest.mark.parametrize("length", range(1, 65))
def test_no_given_profile_identifier_can_name_the_key(length: int) -> None:
    """A file may give any 16 bytes as a profile identifier: where keys of that length lay, a row could name them."""
    key = keys.seen(DOMAIN, 0, "c" * length).encode()
    assert len(key.removeprefix(keys.address_prefix(DOMAIN, 0))) > 16
    assert keys.lifetime_of(key) is not None
