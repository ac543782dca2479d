"""Generations of a segment's membership: begun, built while commits go on, put together, switched live, dropped. On one node and on the cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from headrace.errors import TerminalError
from headrace.schema import DomainSchema
from headrace.segment_set import SegmentSet, encode_segments, evolve
from headrace.segments import Segment
from profile_store import keys, registry, sequence
from profile_store.counts import raise_floors
from profile_store.generations import begin_generations, complete_generations, drop_old_generations, read_states, switch_complete
from profile_store.membership import count_members, membership_of, read_membership
from profile_store.partitions import Commit, CommitStatus, PartitionState, commit
from profile_store.recovery import Restored, restore_registration
from profile_store.registration import Registration
from profile_store.segment_bits import read_segment_bits
from profile_store.segment_registry import SegmentsMovedError, find_segment, read_segments, register_segments, segments_of
from profile_store.store import Store
from tests.contract.profile_stores import DOMAIN, PARTITIONS, address, dump, new_profiles, owned, store_at, with_domain
from tests.servers.valkey import RedisTarget


@pytest.fixture
def store(redis_target: RedisTarget) -> Store:
    return with_domain(store_at(redis_target.url, cluster=redis_target.cluster))


def segment(name: str, *values: str) -> Segment:
    dimension = {"property": "customer_id", "comparison": "inclusive", "values": values}
    return Segment.model_validate(
        {"version": 1, "kind": "segment", "domain": DOMAIN, "name": name, "groups": [{"dimensions": [dimension]}]}
    )


def schema_of(store: Store) -> DomainSchema:
    return registry.get_domain(store, DOMAIN).schema


def defined(store: Store, *segments: Segment, removed: tuple[str, ...] = ()) -> int:
    """A change of segments that has had its turn: its number."""
    before = read_segments(store, DOMAIN).defined
    after = evolve(before, segments, removed, schema_of(store)).after
    kept = json.dumps({one.id: {"owner": "api"} for one in after.segments if before.with_id(one.id) is None})
    registration = Registration(
        DOMAIN, 0, "segments", "", "", "", None, None, schema_version=1, segments=encode_segments(after), details=kept
    )
    gone = [one.id for one in before.segments if after.with_id(one.id) is None]
    number = register_segments(store, registration, registration.token, after, gone)
    stored = sequence.load_needed(store, DOMAIN, number)
    begin_generations(store, PARTITIONS, stored)
    switch_complete(store, DOMAIN, PARTITIONS)
    sequence.end(store, stored, registration.token)
    return number


def packed(*numbers: int) -> bytes:
    bits = np.zeros(24, bool)
    bits[list(numbers)] = True
    return np.packbits(bits).tobytes()


def with_profiles(store: Store, count: int) -> None:
    """In partition 0, by an import of its own."""
    number = sequence.domain_floor(store, DOMAIN) + 1
    status, _ = commit(store, owned(store), new_profiles(0, range(count), import_seq=number))
    assert status is CommitStatus.OK


def members(store: Store, name: str) -> list[int]:
    found = find_segment(store, DOMAIN, name)
    return list(map(int, read_membership(store, DOMAIN, 0, found.id).numbers))


def bits(store: Store, key: str, *numbers: int) -> None:
    """As a commit would write them."""
    store.node_of(key).set(key, packed(*numbers))


def test_a_segment_of_a_domain_without_profiles_is_live_at_once(store: Store) -> None:
    defined(store, segment("vip", "a"))
    found = find_segment(store, DOMAIN, "vip")
    assert (found.live, found.generation, found.is_current) == (1, 1, True)
    assert members(store, "vip") == []
    assert count_members(store, DOMAIN, PARTITIONS, found.id) == 0


@pytest.mark.spec("S5")
def test_what_was_built_and_what_commits_touched_become_one_membership(store: Store) -> None:
    with_profiles(store, 20)
    number = defined(store, segment("vip", "a"))
    found = find_segment(store, DOMAIN, "vip")
    for read in (
        lambda: read_membership(store, DOMAIN, 0, found.id),
        lambda: count_members(store, DOMAIN, PARTITIONS, found.id),
        lambda: membership_of(store, DOMAIN, PARTITIONS, found.id, [bytes(15) + b"1"]),
    ):
        with pytest.raises(TerminalError, match=rf"SEGMENT_NOT_READY: Segment vip of domain {DOMAIN} has not been materialized yet\."):
            read()
    assert number == 1
    pair = f"{found.id}.{number}"
    assert {tuple(one.items()) for one in list(read_states(store, DOMAIN, PARTITIONS).values())[1:]} == {((pair, "complete"),)}
    bits(store, keys.segment_members(DOMAIN, 0, pair), 3, 12)
    bits(store, keys.segment_touched(DOMAIN, 0, number), 3, 4, 12)
    complete_generations(store, DOMAIN, 0, {pair: packed(4, 5, 12, 19)})
    assert switch_complete(store, DOMAIN, PARTITIONS) == 1
    assert members(store, "vip") == [3, 5, 12, 19]
    assert count_members(store, DOMAIN, PARTITIONS, found.id) == 4
    assert store.node_of(keys.meta(DOMAIN, 0)).exists(keys.segment_touched(DOMAIN, 0, number)) == 0
    complete_generations(store, DOMAIN, 0, {pair: packed(1)})
    assert members(store, "vip") == [3, 5, 12, 19], "what is whole stays as the commits leave it"


def test_a_segment_that_was_removed_meanwhile_is_none_that_is_still_to_be_built(store: Store) -> None:
    defined(store, segment("vip", "a"))
    found = find_segment(store, DOMAIN, "vip")
    defined(store, removed=("vip",))
    with pytest.raises(TerminalError, match=f"NO_SUCH_SEGMENT: A segment of domain {DOMAIN} was removed while it was read"):
        read_membership(store, DOMAIN, 0, found.id)


@pytest.mark.spec("S5")
def test_the_old_generation_is_read_until_the_new_one_is_whole(store: Store) -> None:
    defined(store, segment("vip", "a"))
    with_profiles_after(store, 1, 20)
    found = find_segment(store, DOMAIN, "vip")
    bits(store, keys.segment_members(DOMAIN, 0, f"{found.id}.1"), 7)
    number = defined(store, segment("vip", "b"))
    changed = find_segment(store, DOMAIN, "vip")
    assert (changed.generation, changed.live, changed.is_current) == (number, 1, False)
    assert members(store, "vip") == [7]
    complete_generations(store, DOMAIN, 0, {f"{found.id}.{number}": packed(8)})
    assert members(store, "vip") == [7]
    switch_complete(store, DOMAIN, PARTITIONS)
    drop_old_generations(store, DOMAIN, PARTITIONS)
    assert members(store, "vip") == [8]
    assert {tuple(one) for one in read_states(store, DOMAIN, PARTITIONS).values()} == {(f"{found.id}.{number}",)}
    assert store.node_of(keys.meta(DOMAIN, 0)).exists(keys.segment_members(DOMAIN, 0, f"{found.id}.1")) == 0


def with_profiles_after(store: Store, floor: int, count: int) -> None:
    state = owned(store)
    assert state.floor == floor
    profiles = new_profiles(0, range(count), import_seq=floor + 1)
    commit(store, state, profiles)
    raise_floors(store, DOMAIN, PARTITIONS, floor + 1)
    store.client.set(keys.floor(DOMAIN), floor + 1)
    store.client.set(keys.sequence(DOMAIN), floor + 1)


def test_a_change_that_was_made_from_other_segments_is_refused(store: Store) -> None:
    first = evolve(SegmentSet(), [segment("a", "1")], (), schema_of(store)).after
    registration = Registration(DOMAIN, 0, "segments", "", "", "", None, None, schema_version=1, segments=encode_segments(first))
    number = register_segments(store, registration, "work", first, [])
    assert register_segments(store, registration, "work", first, []) == number
    with pytest.raises(SegmentsMovedError):
        register_segments(store, registration, "other work", first, [])


def test_a_removed_segment_leaves_nothing_and_its_name_is_free(store: Store) -> None:
    defined(store, segment("vip", "a"))
    defined(store, removed=("vip",))
    assert segments_of(store, DOMAIN) == []
    with pytest.raises(TerminalError, match="NO_SUCH_SEGMENT"):
        find_segment(store, DOMAIN, "vip")
    assert all(not states for states in read_states(store, DOMAIN, PARTITIONS).values())
    defined(store, segment("vip", "a"))
    assert find_segment(store, DOMAIN, "vip").id == 2


def test_membership_of_given_profiles(store: Store) -> None:
    defined(store, segment("vip", "a"))
    with_profiles_after(store, 1, 20)
    found = find_segment(store, DOMAIN, "vip")
    bits(store, keys.segment_members(DOMAIN, 0, f"{found.id}.1"), 0, 16)
    asked = [address(number) for number in (0, 1, 16, 99)]
    here = [one for one in asked if one[0] % PARTITIONS == 0]
    assert here == asked
    assert membership_of(store, DOMAIN, PARTITIONS, found.id, asked) == {asked[0]: True, asked[1]: False, asked[2]: True, asked[3]: None}


def with_bits(store: Store) -> PartitionState:
    """Partition 0 with its segment's bits read, as its owner has it."""
    state = owned(store)
    token, bits = read_segment_bits(store, DOMAIN, 0)
    assert (token, bits.word) == (state.token, state.segments)
    return replace(state, bits=bits)


def putting(state: PartitionState, batch_no: int, numbers: range, wanted: bool) -> Commit:
    """A commit of new profiles that are members, or not."""
    assert state.bits is not None
    [kept] = state.bits.kept
    spans = kept.members.spans_putting(np.arange(numbers.start, numbers.stop), np.full(len(numbers), wanted))
    return replace(new_profiles(batch_no, numbers, import_seq=state.floor + 1), segments=((kept.members, spans),) if spans else ())


@pytest.mark.spec("B7")
def test_a_commit_changes_the_bits_with_the_profiles(store: Store) -> None:
    defined(store, segment("vip", "a"))
    state = with_bits(store)
    status, state = commit(store, state, putting(state, 0, range(10), wanted=True))
    assert status is CommitStatus.OK
    status, state = commit(store, state, putting(state, 1, range(10, 20), wanted=False))
    assert status is CommitStatus.OK
    assert members(store, "vip") == list(range(10))
    assert state.bits is not None
    [kept] = state.bits.kept
    cleared = replace(
        new_profiles(2, range(20, 20), import_seq=2),
        segments=((kept.members, kept.members.spans_putting(np.array([3, 9]), np.zeros(2, bool))),),
    )
    before = dump(store)
    assert commit(store, replace(state, token="0" * 16), cleared)[0] is CommitStatus.TOKEN
    assert dump(store) == before
    assert commit(store, state, cleared)[0] is CommitStatus.OK
    assert members(store, "vip") == [0, 1, 2, 4, 5, 6, 7, 8]


@pytest.mark.spec("S5", "B7")
def test_an_owner_that_knows_other_segments_is_refused(store: Store) -> None:
    """Other definitions, or bits that somebody put together meanwhile: either way the owner's are not those of Redis."""
    state = owned(store)
    defined(store, segment("vip", "a"))
    before = dump(store)
    late = replace(state, floor=1)
    assert commit(store, late, new_profiles(0, range(20), import_seq=2))[0] is CommitStatus.SEGMENTS
    assert dump(store) == before
    status, state = commit(store, with_bits(store), new_profiles(0, range(20), import_seq=2))
    assert status is CommitStatus.OK
    raise_floors(store, DOMAIN, PARTITIONS, 2)
    store.client.set(keys.floor(DOMAIN), 2)
    store.client.set(keys.sequence(DOMAIN), 2)
    number = defined(store, segment("vip", "b"))
    state = with_bits(store)
    complete_generations(store, DOMAIN, 0, {f"1.{number}": packed(8)})
    before = dump(store)
    assert commit(store, state, new_profiles(0, range(20, 30), import_seq=number + 1))[0] is CommitStatus.SEGMENTS
    assert dump(store) == before


@pytest.mark.spec("R5")
def test_a_change_that_a_restored_store_lacks_is_put_back(store: Store) -> None:
    number = defined(store, segment("vip", "a"))
    lost = sequence.load_needed(store, DOMAIN, number)
    there = segments_of(store, DOMAIN)
    for key in (keys.segments(DOMAIN), keys.sequence(DOMAIN), keys.registration(DOMAIN, number)):
        store.client.delete(key)
    assert restore_registration(store, lost, "work") is Restored.OK
    assert [(one.definition, one.generation, one.live, one.owner) for one in segments_of(store, DOMAIN)] == [
        (one.definition, number, None, "api") for one in there
    ]


class CountedStore(Store):
    """Counts how often a server was spoken to."""

    calls = 0

    @contextmanager
    def on_node_of(self, key: str, doing: str) -> Iterator[Any]:
        self.calls += 1
        with super().on_node_of(key, doing) as node:
            yield node


@pytest.mark.spec("B7")
def test_a_commit_of_bits_is_one_call(store: Store) -> None:
    """Whoever dies, or loses its link, between two calls would leave profiles without their membership."""
    defined(store, segment("vip", "a"))
    state = with_bits(store)
    counted = CountedStore(store.settings)
    status, _ = commit(counted, state, putting(state, 0, range(10), wanted=True))
    counted.close()
    assert (status, counted.calls) == (CommitStatus.OK, 1)
    assert members(store, "vip") == list(range(10))
