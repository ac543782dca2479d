"""The commit of a row batch: all or nothing, next after the fence, by whoever holds the partition. On one node and on the cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import redis

from deployments.embedded.valkey import ValkeyServer
from headrace.errors import TransientError
from headrace.outcomes import Outcomes
from profile_store import counts, keys
from profile_store.durability import barrier, partition_marks
from profile_store.partitions import Commit, CommitStatus, PartitionState, commit, make_partitions, read_profiles
from profile_store.store import Store
from tests.contract.profile_stores import (
    DOMAIN,
    PARTITIONS,
    SCHEMA,
    address,
    dump,
    log_of_commands,
    new_profiles,
    owned,
    store_at,
    with_partitions,
)
from tests.servers.valkey import RedisTarget

MANY = 5_000


@pytest.fixture
def partitioned(redis_target: RedisTarget) -> Store:
    return with_partitions(store_at(redis_target.url, cluster=redis_target.cluster))


def with_batches(store: Store, batches: int = 2) -> PartitionState:
    """Partition 0 with some batches of import 1 applied, ten new profiles in each."""
    state = owned(store)
    for batch_no in range(batches):
        status, state = commit(store, state, new_profiles(batch_no, range(batch_no * 10, batch_no * 10 + 10), rejects=b"why"))
        assert status is CommitStatus.OK
    return state


def test_a_commit_writes_records_numbers_fence_counts_rejects_and_a_fresh_token(partitioned: Store) -> None:
    state = with_batches(partitioned)
    after = dump(partitioned)
    tag = f"{{{DOMAIN}:0}}:".encode()
    mine = {key: value for key, value in after.items() if key.startswith(tag)}
    records = {tag + address(number): f"R1\x1f{number}\x1f\x1f\x1f\x1fv{number // 10}".encode() for number in range(20)}
    assert mine == {
        **records,
        tag + b"meta": {b"floor": b"0", b"profiles": b"20", b"schema": b"1", b"token": state.token.encode()},
        tag + b"ids": b"".join(map(address, range(20))),
        tag + b"fence": {b"import:1": b"1"},
        tag + b"tally:1": {b"created": b"20", b"rejected": b"2", b"cells": b"4"},
        tag + b"rejects:1": [b"why", b"why"],
    }
    assert state.profiles == 20
    assert state.fence_of(1) == 1


@pytest.mark.spec("R4")
def test_counts_are_read_as_they_were_committed(partitioned: Store) -> None:
    with_batches(partitioned)
    progress = counts.progress(partitioned, DOMAIN, PARTITIONS, 1)
    assert progress.outcomes == Outcomes(created=20, rejected=2, cells=4)
    assert progress.fences == (1, -1, -1, -1)
    assert counts.read_rejects(partitioned, DOMAIN, 0, 1) == [b"why", b"why"]


def test_every_commit_leaves_another_token(partitioned: Store) -> None:
    state = owned(partitioned)
    tokens = {state.token}
    for batch_no in range(20):
        _, state = commit(partitioned, state, new_profiles(batch_no, range(0)))
        tokens.add(state.token)
    for _ in range(20):
        tokens.add(owned(partitioned).token)
    assert len(tokens) == 41


def test_what_nothing_was_counted_for_leaves_no_key(partitioned: Store) -> None:
    state = owned(partitioned)
    before = dump(partitioned).keys()
    status, _ = commit(partitioned, state, Commit(1, 0, SCHEMA, {}))
    assert status is CommitStatus.OK
    assert dump(partitioned).keys() - before == {f"{{{DOMAIN}:0}}:fence".encode()}


REFUSED: dict[str, tuple[CommitStatus, Callable[[PartitionState], tuple[PartitionState, Commit]]]] = {
    "somebody else's token": (CommitStatus.TOKEN, lambda s: (replace(s, token="0" * 16), new_profiles(2, range(20, 30)))),
    "another number of profiles": (CommitStatus.TOKEN, lambda s: (replace(s, profiles=19), new_profiles(2, range(19, 29)))),
    "another schema": (CommitStatus.SCHEMA, lambda s: (s, replace(new_profiles(2, range(20, 30)), schema_version=2))),
    "other segments": (CommitStatus.SEGMENTS, lambda s: (replace(s, segments="7"), new_profiles(2, range(20, 30)))),
    "an import that is over": (CommitStatus.FLOOR, lambda s: (s, new_profiles(2, range(20, 30), import_seq=0))),
    "an import that has not its turn": (CommitStatus.GAP, lambda s: (s, new_profiles(0, range(20, 30), import_seq=2))),
    "a batch too far": (CommitStatus.GAP, lambda s: (s, new_profiles(3, range(20, 30)))),
    "the batch applied last": (CommitStatus.APPLIED, lambda s: (s, new_profiles(1, range(20, 30)))),
    "a batch applied before": (CommitStatus.APPLIED, lambda s: (s, new_profiles(0, range(20, 30)))),
    "applied, under another schema": (CommitStatus.APPLIED, lambda s: (s, replace(new_profiles(1, range(20, 30)), schema_version=2))),
}


@pytest.mark.spec("B1")
@pytest.mark.parametrize("why", REFUSED)
def test_a_refused_commit_changes_nothing_at_all(partitioned: Store, why: str) -> None:
    state = with_batches(partitioned)
    expected, attempt = REFUSED[why]
    before = dump(partitioned)
    status, after = commit(partitioned, *attempt(state))
    assert status is expected
    assert dump(partitioned) == before
    refused, _ = attempt(state)
    assert after == refused
    assert commit(partitioned, state, new_profiles(2, range(20, 30)))[0] is CommitStatus.OK


@pytest.mark.spec("B1")
def test_a_commit_to_a_redis_that_was_wiped_changes_nothing(partitioned: Store) -> None:
    state = with_batches(partitioned)
    for node in partitioned.nodes():
        node.flushall()
    assert commit(partitioned, state, new_profiles(2, range(20, 30)))[0] is CommitStatus.TOKEN
    assert dump(partitioned) == {}


@pytest.mark.spec("B1")
def test_the_same_commit_sent_twice_takes_effect_once(partitioned: Store) -> None:
    """What happens when the reply is lost: the second is refused by its token, and after a takeover by its fence."""
    state = with_batches(partitioned)
    change = new_profiles(2, range(20, 30))
    assert commit(partitioned, state, change)[0] is CommitStatus.OK
    before = dump(partitioned)
    assert commit(partitioned, state, change)[0] is CommitStatus.TOKEN
    assert dump(partitioned) == before
    again = owned(partitioned)
    before = dump(partitioned)
    assert commit(partitioned, again, change)[0] is CommitStatus.APPLIED
    assert dump(partitioned) == before


def test_a_large_commit_is_there_as_a_whole_and_in_order(partitioned: Store) -> None:
    """5,000 records are 10,000 arguments: more than Lua's stack takes at once."""
    state = with_batches(partitioned)
    status, state = commit(partitioned, state, new_profiles(2, range(20, 20 + MANY)))
    assert status is CommitStatus.OK
    assert state.profiles == 20 + MANY
    client: Any = partitioned.node_of(keys.ids(DOMAIN, 0))
    assert client.get(keys.ids(DOMAIN, 0)) == b"".join(map(address, range(20 + MANY)))
    found = read_profiles(partitioned, DOMAIN, 0, [address(number) for number in (0, 20, 19 + MANY, 20 + MANY)])
    assert [None if blob is None else blob.split(b"\x1f")[1] for blob in found] == [b"0", b"20", b"%d" % (19 + MANY), None]


def test_a_commit_that_the_list_of_numbers_has_no_room_for_changes_nothing(own_valkey: Callable[[], ValkeyServer]) -> None:
    """A string of Redis has a longest length: the one write that a full Redis may refuse midway comes first."""
    server = own_valkey()
    store = store_at(server.url)
    make_partitions(store, DOMAIN, 1, SCHEMA)
    state = owned(store)
    with redis.Redis.from_url(server.url) as client:
        client.config_set("proto-max-bulk-len", 1 << 20)
        full = (1 << 20) // 16
        client.setrange(keys.ids(DOMAIN, 0), (full - 5) * 16, b"\0" * 80)
        client.hset(keys.meta(DOMAIN, 0), "profiles", full)
    before = dump(store)
    with pytest.raises(Exception, match="exceeds maximum"):
        commit(store, replace(state, profiles=full), new_profiles(0, range(20)))
    assert dump(store) == before


@pytest.mark.spec("B1")
def test_a_commit_cut_off_on_the_disk_is_gone_as_a_whole(own_valkey: Callable[[], ValkeyServer]) -> None:
    """A crash of the machine cuts the append-only file anywhere: a commit is in it whole, or not at all."""
    server = own_valkey()
    store = store_at(server.url)
    make_partitions(store, DOMAIN, 1, SCHEMA)
    log = log_of_commands(server.options.data_directory)
    kept, batch_no = owned(store), 0
    for part in (0.1, 0.5, 0.99):
        barrier(store, partition_marks(DOMAIN, [0]))
        before, size = dump(store), log.stat().st_size
        change = new_profiles(batch_no, range(1_000), rejects=b"why")
        assert commit(store, kept, change)[0] is CommitStatus.OK
        whole = log.stat().st_size
        server.kill()
        with log.open("r+b") as file:
            file.truncate(size + int((whole - size) * part))
        server = own_valkey()
        assert dump(store) == before
        assert commit(store, kept, change)[0] is CommitStatus.OK
        server.stop()
        server = own_valkey()
        profiles, kept, batch_no = kept.profiles, owned(store), batch_no + 1
        assert kept.profiles == profiles + 1_000
        log = log_of_commands(server.options.data_directory)


@pytest.mark.spec("B1")
def test_a_full_redis_refuses_a_commit_before_it_starts(own_valkey: Callable[[], ValkeyServer]) -> None:
    server = own_valkey()
    store = store_at(server.url)
    make_partitions(store, DOMAIN, 1, SCHEMA)
    state = owned(store)
    _, state = commit(store, state, new_profiles(0, range(MANY)))
    before = dump(store)
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] - 1))
        with pytest.raises(TransientError, match="REDIS_UNAVAILABLE"):
            commit(store, state, new_profiles(1, range(MANY, 2 * MANY)))
        assert dump(store) == before
        client.config_set("maxmemory", 0)
    status, state = commit(store, state, new_profiles(1, range(MANY, 2 * MANY)))
    assert (status, state.profiles) == (CommitStatus.OK, 2 * MANY)
