"""What partitions tell each other, in the commit that says it: fences of neighbours, the outbox, an import that is being closed. One node and cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deployments.embedded.valkey import ValkeyServer
from headrace.errors import TransientError
from profile_store import counts, keys
from profile_store.durability import barrier, partition_marks
from profile_store.partitions import (
    Commit,
    CommitStatus,
    OutboxEntry,
    PartitionState,
    commit,
    delete_outbox,
    read_durable_heard,
    read_durable_tokens,
    read_floor,
    read_profiles,
    take_over,
)
from profile_store.records import pointer_to
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


@pytest.fixture
def partitioned(redis_target: RedisTarget) -> Store:
    return with_partitions(store_at(redis_target.url, cluster=redis_target.cluster))


def hears(heard: dict[int, tuple[int, int]], import_seq: int = 1, **more: Any) -> Commit:
    """A commit of neighbours' messages alone."""
    return Commit(import_seq, None, SCHEMA, {"settled": 2}, heard=heard, **more)


def tells(*entries: tuple[int, int], batch_no: int = 0) -> Commit:
    """A commit of a row batch that leaves messages (target, number) for neighbours."""
    told = tuple(OutboxEntry(target, number, b"%d to %d" % (number, target)) for target, number in entries)
    return replace(new_profiles(batch_no, range(batch_no, batch_no + 1)), told=told)


def outbox_of(store: Store) -> list[OutboxEntry]:
    return take_over(store, DOMAIN, 0)[1]


def test_a_commit_leaves_pointers_fences_of_neighbours_and_messages_for_them(partitioned: Store) -> None:
    change = replace(tells((3, 0), (1, 0), (3, 1)), heard={2: (0, 4)}, pointers=address(900) + address(0))
    status, state = commit(partitioned, owned(partitioned), change)
    assert status is CommitStatus.OK
    assert (state.heard, state.told, state.fences) == ({2: 4}, {3: 1, 1: 0}, {1: 0})
    found = dump(partitioned)
    assert found[keys.fence(DOMAIN, 0).encode()] == {b"import:1": b"0", b"from:2": b"4", b"to:1": b"0", b"to:3": b"1"}
    assert found[keys.outbox(DOMAIN, 0).encode()] == {b"3:0": b"0 to 3", b"1:0": b"0 to 1", b"3:1": b"1 to 3"}
    assert read_profiles(partitioned, DOMAIN, 0, [address(900)]) == [pointer_to(address(0))]


def test_neighbours_alone_leave_the_fence_of_row_batches_where_it_was(partitioned: Store) -> None:
    _, state = commit(partitioned, owned(partitioned), new_profiles(0, range(3)))
    status, state = commit(partitioned, state, hears({1: (0, 0), 3: (0, 2)}))
    assert (status, state.fences, state.heard) == (CommitStatus.OK, {1: 0}, {1: 0, 3: 2})
    assert commit(partitioned, state, new_profiles(1, range(3, 6)))[0] is CommitStatus.OK
    assert counts.progress(partitioned, DOMAIN, PARTITIONS, 1).in_flight.settled == 2


REFUSED: dict[str, tuple[CommitStatus, Commit]] = {
    "heard before": (CommitStatus.APPLIED, hears({2: (4, 4)})),
    "in part heard before": (CommitStatus.APPLIED, hears({2: (4, 7)})),
    "one too far": (CommitStatus.GAP, hears({2: (6, 6)})),
    "the second neighbour is one too far": (CommitStatus.GAP, hears({1: (0, 0), 2: (6, 6)})),
    "heard before, with a good row batch": (CommitStatus.APPLIED, replace(new_profiles(1, range(10, 20)), heard={2: (4, 4)})),
    "good, with a row batch applied before": (CommitStatus.APPLIED, replace(new_profiles(0, range(10, 20)), heard={2: (5, 5)})),
    "of an import that is over": (CommitStatus.FLOOR, hears({2: (5, 5)}, import_seq=0)),
    "of an import that has not its turn": (CommitStatus.GAP, hears({2: (5, 5)}, import_seq=2)),
}


@pytest.mark.spec("B1")
@pytest.mark.parametrize("why", REFUSED)
def test_messages_of_neighbours_that_are_not_next_change_nothing_at_all(partitioned: Store, why: str) -> None:
    expected, attempt = REFUSED[why]
    _, state = commit(partitioned, owned(partitioned), replace(new_profiles(0, range(10)), heard={2: (0, 4)}))
    attempt = replace(attempt, told=(OutboxEntry(3, 0, b"x"),), pointers=address(900) + address(0))
    before = dump(partitioned)
    assert commit(partitioned, state, attempt) == (expected, state)
    assert dump(partitioned) == before
    assert commit(partitioned, state, hears({2: (5, 5)}))[0] is CommitStatus.OK


@pytest.mark.spec("B1", "R4")
def test_an_import_that_is_closed_takes_no_rows_but_hears_its_neighbours_out(partitioned: Store) -> None:
    _, state = commit(partitioned, owned(partitioned), new_profiles(0, range(10)))
    for _ in range(2):
        counts.close_rows(partitioned, DOMAIN, PARTITIONS, 1)
    assert read_floor(partitioned, DOMAIN, 0) == (0, 1)
    before = dump(partitioned)
    both = replace(new_profiles(1, range(10, 20)), heard={2: (0, 0)})
    for refused in (new_profiles(1, range(10, 20)), both):
        assert commit(partitioned, state, refused) == (CommitStatus.CLOSED, state)
    assert commit(partitioned, state, new_profiles(0, range(10)))[0] is CommitStatus.APPLIED
    assert dump(partitioned) == before
    status, _ = commit(partitioned, state, hears({2: (0, 0)}))
    assert status is CommitStatus.OK
    heir, _ = take_over(partitioned, DOMAIN, 0)
    assert heir.closing == 1
    counts.raise_floors(partitioned, DOMAIN, PARTITIONS, 1)
    assert commit(partitioned, heir, new_profiles(0, range(10, 20), import_seq=2))[0] is CommitStatus.OK


def test_closing_an_import_that_is_over_or_not_begun_does_nothing(partitioned: Store) -> None:
    counts.raise_floors(partitioned, DOMAIN, PARTITIONS, 1)
    for import_seq in (1, 3):
        counts.close_rows(partitioned, DOMAIN, PARTITIONS, import_seq)
        assert read_floor(partitioned, DOMAIN, 0) == (1, 0)
    assert commit(partitioned, owned(partitioned), new_profiles(0, range(10), import_seq=2))[0] is CommitStatus.OK


@pytest.mark.spec("B1")
def test_whoever_takes_over_has_the_outbox_in_order(partitioned: Store) -> None:
    """Numbers sort as numbers: 10 after 9."""
    state = owned(partitioned)
    for batch_no in range(6):
        _, state = commit(partitioned, state, tells((3, 2 * batch_no), (1, batch_no), (3, 2 * batch_no + 1), batch_no=batch_no))
    heir, entries = take_over(partitioned, DOMAIN, 0)
    assert entries == [*(OutboxEntry(1, n, b"%d to 1" % n) for n in range(6)), *(OutboxEntry(3, n, b"%d to 3" % n) for n in range(12))]
    assert (heir.told, heir.heard, heir.fences) == ({3: 11, 1: 5}, {}, {1: 5})


def test_of_an_outbox_goes_what_is_named_and_the_numbers_go_on(partitioned: Store) -> None:
    _, state = commit(partitioned, owned(partitioned), tells((3, 0), (3, 1), (1, 0)))
    for _ in range(2):
        delete_outbox(partitioned, DOMAIN, 0, [(3, 0), (1, 0), (2, 7)])
        assert outbox_of(partitioned) == [OutboxEntry(3, 1, b"1 to 3")]
    delete_outbox(partitioned, DOMAIN, 0, [])
    delete_outbox(partitioned, DOMAIN, 0, [(3, 1)])
    heir, entries = take_over(partitioned, DOMAIN, 0)
    assert (entries, heir.told) == ([], state.told)


def test_the_neighbours_fences_outlive_the_import(partitioned: Store) -> None:
    """Messages between two partitions are numbered for as long as the domain."""
    _, state = commit(partitioned, owned(partitioned), replace(tells((3, 0)), heard={2: (0, 4)}))
    counts.raise_floors(partitioned, DOMAIN, PARTITIONS, 1)
    counts.drop_import(partitioned, DOMAIN, PARTITIONS, 1)
    heir = owned(partitioned)
    assert (heir.fences, heir.heard, heir.told) == ({}, state.heard, state.told)


def test_how_far_receivers_are_is_told_for_many_at_once(partitioned: Store) -> None:
    states = [owned(partitioned, number) for number in range(PARTITIONS)]
    for number, heard in ((1, {0: (0, 6)}), (2, {0: (0, 1), 3: (0, 0)})):
        assert commit(partitioned, states[number], hears(heard))[0] is CommitStatus.OK
    found = read_durable_heard(partitioned, DOMAIN, {1: [0, 2], 2: [3, 0], 3: [0]})
    assert found == {(1, 0): 6, (1, 2): -1, (2, 3): 0, (2, 0): 1, (3, 0): -1}
    assert read_durable_heard(partitioned, DOMAIN, {}) == {}


@pytest.mark.spec("B1")
def test_what_a_receiver_has_not_on_disk_is_not_heard(own_valkey: Callable[[], ValkeyServer], monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the outbox would forget a message that a crash makes the receiver forget, too."""
    server = own_valkey()
    store = with_partitions(store_at(server.url))
    log = log_of_commands(server.options.data_directory)
    state = durable(store, hears({0: (0, 2)}))
    size = log.stat().st_size
    store.client.config_set("appendfsync", "no")
    assert commit(store, state, hears({0: (3, 5)}))[0] is CommitStatus.OK
    monkeypatch.setattr("profile_store.durability._WAIT_MS", 200)
    for ask in (lambda: read_durable_heard(store, DOMAIN, {1: [0]}), lambda: read_durable_tokens(store, DOMAIN, [1])):
        with pytest.raises(TransientError, match="NOT_DURABLE"):
            ask()
    server.kill()
    with log.open("r+b") as file:
        file.truncate(size)
    own_valkey()
    assert read_durable_heard(store, DOMAIN, {1: [0]}) == {(1, 0): 2}
    assert read_durable_tokens(store, DOMAIN, [1]) == {1: state.token}


def durable(store: Store, change: Commit) -> PartitionState:
    """Partition 1 after a commit that is on disk."""
    status, state = commit(store, owned(store, 1), change)
    assert status is CommitStatus.OK
    barrier(store, partition_marks(DOMAIN, [1]))
    return state
