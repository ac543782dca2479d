"""A partition's owner, its floor, and what is left of an import. On one node and on the cluster."""

from __future__ import annotations

import pytest

from headrace.errors import TransientError
from profile_store import counts, keys
from profile_store.partitions import CommitStatus, commit, make_partitions, read_floor, read_profiles, take_over
from profile_store.store import Store
from tests.contract.profile_stores import DOMAIN, PARTITIONS, address, dump, new_profiles, owned, store_at, with_partitions
from tests.servers.valkey import RedisTarget


@pytest.fixture
def partitioned(redis_target: RedisTarget) -> Store:
    return with_partitions(store_at(redis_target.url, cluster=redis_target.cluster))


def test_partitions_are_made_once(partitioned: Store) -> None:
    state = owned(partitioned)
    commit(partitioned, state, new_profiles(0, range(10)))
    before = dump(partitioned)
    make_partitions(partitioned, DOMAIN, PARTITIONS, 7)
    assert dump(partitioned) == before


def test_whoever_takes_over_sees_what_was_applied(partitioned: Store) -> None:
    first = owned(partitioned)
    assert (first.floor, first.profiles, first.schema_version, first.fences) == (0, 0, 1, {})
    commit(partitioned, first, new_profiles(0, range(10)))
    second = owned(partitioned)
    assert (second.floor, second.profiles, second.schema_version, second.fences) == (0, 10, 1, {1: 0})


@pytest.mark.spec("B1")
def test_a_takeover_shuts_out_whoever_held_the_partition(partitioned: Store) -> None:
    zombie = owned(partitioned)
    _, zombie = commit(partitioned, zombie, new_profiles(0, range(10)))
    owner = owned(partitioned)
    before = dump(partitioned)
    assert commit(partitioned, zombie, new_profiles(1, range(10, 20)))[0] is CommitStatus.TOKEN
    assert dump(partitioned) == before
    assert commit(partitioned, owner, new_profiles(1, range(10, 20)))[0] is CommitStatus.OK


@pytest.mark.spec("B1")
def test_a_takeover_between_reading_and_committing_shuts_the_reader_out(partitioned: Store) -> None:
    """The profiles it read may have changed since: what it made of them must not be written."""
    reader = owned(partitioned)
    _, reader = commit(partitioned, reader, new_profiles(0, range(1)))
    read_profiles(partitioned, DOMAIN, 0, [address(0)])
    owner = owned(partitioned)
    _, owner = commit(partitioned, owner, new_profiles(1, range(1, 2)))
    before = dump(partitioned)
    assert commit(partitioned, reader, new_profiles(1, range(1, 2)))[0] is CommitStatus.TOKEN
    assert dump(partitioned) == before


def test_partitions_do_not_know_each_other(partitioned: Store) -> None:
    other = owned(partitioned, 1)
    mine = owned(partitioned)
    assert commit(partitioned, mine, new_profiles(0, range(10)))[0] is CommitStatus.OK
    assert owned(partitioned, 1).profiles == other.profiles == 0


def test_a_partition_that_is_not_there_is_an_outage(redis_target: RedisTarget) -> None:
    store = store_at(redis_target.url, cluster=redis_target.cluster)
    with pytest.raises(TransientError, match="NO_PARTITION"):
        take_over(store, DOMAIN, 0)
    with pytest.raises(TransientError, match="NO_PARTITION"):
        read_floor(store, DOMAIN, 0)
    assert dump(store) == {}


def test_profiles_are_read_in_the_order_asked_for(partitioned: Store) -> None:
    commit(partitioned, owned(partitioned), new_profiles(0, range(5)))
    found = read_profiles(partitioned, DOMAIN, 0, [address(3), address(77), address(0)])
    assert [None if blob is None else blob[:4] for blob in found] == [b"R1\x1f3", None, b"R1\x1f0"]
    assert read_profiles(partitioned, DOMAIN, 0, []) == []


def test_a_raised_floor_refuses_the_import_and_lets_the_next_one_in(partitioned: Store) -> None:
    state = owned(partitioned)
    _, state = commit(partitioned, state, new_profiles(0, range(10)))
    counts.raise_floors(partitioned, DOMAIN, PARTITIONS, 1)
    assert [read_floor(partitioned, DOMAIN, partition) for partition in range(PARTITIONS)] == [(1, 0)] * PARTITIONS
    before = dump(partitioned)
    for batch_no in (0, 1, 2):
        assert commit(partitioned, state, new_profiles(batch_no, range(10, 20)))[0] is CommitStatus.FLOOR
    assert dump(partitioned) == before
    # A floor is raised without a new token: who owns the partition goes on.
    assert commit(partitioned, state, new_profiles(0, range(10, 20), import_seq=2))[0] is CommitStatus.OK


def test_a_floor_is_raised_once(partitioned: Store) -> None:
    counts.raise_floors(partitioned, DOMAIN, PARTITIONS, 1, "5")
    counts.raise_floors(partitioned, DOMAIN, PARTITIONS, 2)
    before = dump(partitioned)
    for import_seq in (1, 2):
        counts.raise_floors(partitioned, DOMAIN, PARTITIONS, import_seq, "9")
    assert dump(partitioned) == before
    assert owned(partitioned).schema_version == 5


def test_a_floor_is_not_raised_over_an_import(partitioned: Store) -> None:
    before = dump(partitioned)
    with pytest.raises(Exception, match="GAP"):
        counts.raise_floors(partitioned, DOMAIN, PARTITIONS, 2)
    assert dump(partitioned) == before


def test_a_schema_changed_with_the_floor_refuses_who_plans_by_the_old_one(partitioned: Store) -> None:
    state = owned(partitioned)
    counts.raise_floors(partitioned, DOMAIN, PARTITIONS, 1, "2")
    before = dump(partitioned)
    assert commit(partitioned, state, new_profiles(0, range(10), import_seq=2))[0] is CommitStatus.SCHEMA
    assert dump(partitioned) == before


def test_what_an_import_kept_goes_only_below_the_floor(partitioned: Store) -> None:
    state = owned(partitioned)
    commit(partitioned, state, new_profiles(0, range(10), rejects=b"why"))
    before = dump(partitioned)
    with pytest.raises(Exception, match="FLOOR"):
        counts.drop_import(partitioned, DOMAIN, PARTITIONS, 1)
    assert dump(partitioned) == before
    counts.raise_floors(partitioned, DOMAIN, PARTITIONS, 1)
    for _ in range(2):
        counts.drop_import(partitioned, DOMAIN, PARTITIONS, 1)
        left = dump(partitioned)
        gone = {name.encode() for name in (keys.fence(DOMAIN, 0), keys.tally(DOMAIN, 0, 1), keys.rejects(DOMAIN, 0, 1))}
        assert before.keys() - left.keys() == gone
    assert commit(partitioned, state, new_profiles(1, range(10, 20)))[0] is CommitStatus.TOKEN
    again = owned(partitioned)
    assert commit(partitioned, again, new_profiles(0, range(10, 20)))[0] is CommitStatus.FLOOR
