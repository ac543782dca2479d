"""The members of a segment are read as of one commit version, whatever is committed meanwhile (SPEC E1, docs/adr/0020)."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from headrace.domains import Domain
from headrace.errors import TransientError
from headrace.formats import ExportFormat
from headrace.schema import initial_schema
from profile_store import keys, members
from profile_store.members import is_set, read_at_once, read_in_chunks
from profile_store.membership import numbers_of
from profile_store.partitions import fresh_token
from profile_store.registry import create_domain, get_domain
from profile_store.segment_registry import find_segment
from profile_store.store import Store
from streaming.exporting.partition import export_partition
from streaming.exporting.plan import ExportPlan, IdentifierCells, PropertyCells
from streaming.exporting.progress import ExportProgress
from streaming.exporting.read_ahead import AHEAD, export_partitions
from streaming.importing.context import silent
from streaming.segments.members import each_member
from tests.contract.profile_stores import store_at
from tests.polling import eventually
from tests.segmented import make_segment
from tests.servers.valkey import RedisTarget

NAME, COUNT = "retail", 1_000
PLAN = ExportPlan(
    NAME,
    1,
    1,
    ExportFormat(),
    ("pid", "v"),
    (IdentifierCells(), PropertyCells(0, "text", False)),
    ("odd", "all"),
    (),
    (0,),
    True,
    frozenset(),
    None,
)


def identifier(number: int) -> bytes:
    return (1 << 64 | number).to_bytes(16, "big")


@pytest.fixture
def store(redis_target: RedisTarget) -> Store:
    """A partition of COUNT profiles, half of them in the segment `odd`."""
    made = store_at(redis_target.url, cluster=redis_target.cluster)
    properties = [{"name": "customer_id", "identifier": True}, {"name": "tags"}]
    domain = Domain.model_validate({"version": 1, "kind": "domain", "name": NAME, "partitions": 1, "properties": properties})
    create_domain(made, domain, initial_schema(domain), "")
    with made.on_node_of(keys.ids(NAME, 0), "making profiles") as node:
        node.set(keys.ids(NAME, 0), b"".join(map(identifier, range(COUNT))))
        node.hset(keys.meta(NAME, 0), "profiles", COUNT)
    write_all(made, 0)
    make_segment(made, NAME, "odd", lambda one: one[-1] % 2 == 1)
    make_segment(made, NAME, "all")
    return made


def write_all(store: Store, version: int) -> None:
    """As a commit does it: everything and a fresh token in one moment."""
    prefix = keys.address_prefix(NAME, 0)
    records = {prefix + identifier(number): b"R1\x1f%d\x1f\x1f\x1f\x1fv%d" % (number, version) for number in range(COUNT)}
    with store.on_node_of(keys.meta(NAME, 0), "committing") as node:
        pipe = node.pipeline(transaction=True)
        pipe.mset(records)
        pipe.hset(keys.meta(NAME, 0), "token", fresh_token())
        pipe.execute()


@contextmanager
def commits(store: Store) -> Iterator[list[int]]:
    """One after the other without a pause; how many there were."""
    ended, made = threading.Event(), [0]

    def commit_on() -> None:
        other = Store(store.settings)
        while not ended.is_set():
            made[0] += 1
            write_all(other, made[0])
        other.close()

    thread = threading.Thread(target=commit_on)
    thread.start()
    try:
        yield made
    finally:
        ended.set()
        thread.join()


def segments(store: Store) -> list[int]:
    return [find_segment(store, NAME, name).id for name in ("odd", "all")]


@pytest.mark.parametrize("read", [read_in_chunks, read_at_once])
def test_members_are_read_in_the_order_of_their_numbers(store: Store, monkeypatch: pytest.MonkeyPatch, read: Any) -> None:
    monkeypatch.setattr(members, "CHUNK", 64)
    monkeypatch.setattr(members, "SPAN", 100)
    monkeypatch.setattr(members, "AT_ONCE_CHUNK", 77)

    reading = read(store, NAME, 0, segments(store))

    chunks = list(reading.chunks)
    expected = [number for number in range(COUNT) if number % 256 % 2 == 1]
    assert [number for one in chunks for number in one.numbers.tolist()] == expected
    assert b"".join(one.identifiers for one in chunks) == b"".join(map(identifier, expected))
    assert [record for one in chunks for record in one.records] == [b"R1\x1f%d\x1f\x1f\x1f\x1fv0" % number for number in expected]
    assert max(len(one.numbers) for one in chunks) <= 77
    assert numbers_of(reading.bits[1]).tolist() == list(range(COUNT))
    assert is_set(reading.bits[0], np.array([0, 1, 2, 5_000_001])).tolist() == [False, True, False, False]
    assert reading.undisturbed()


@pytest.mark.spec("E1")
def test_a_commit_in_between_is_noticed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "CHUNK", 64)
    reading = read_in_chunks(store, NAME, 0, segments(store))
    first = next(reading.chunks)
    write_all(store, 1)
    rest = list(reading.chunks)
    assert first.records[0].endswith(b"v0")
    assert rest[-1].records[-1].endswith(b"v1")
    assert not reading.undisturbed()


@pytest.mark.spec("E1")
def test_an_export_of_a_partition_ends_under_any_load_and_is_of_one_version(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "CHUNK", 25)
    plan = plan_of(store)
    disturbed = 0
    with commits(store) as made:
        eventually(lambda: made[0] > 1, within=10, what="the first commit")
        for _ in range(50):
            before = made[0]
            spool = io.BytesIO()
            found = export_partition(store, plan, 0, spool)
            disturbed += made[0] > before
            lines = spool.getvalue().decode().splitlines()
            assert found.exported == found.members == len(lines) == COUNT // 2
            assert len({line.partition(",")[2] for line in lines}) == 1, "profiles of two versions"
            assert len({line.partition(",")[0] for line in lines}) == COUNT // 2
            if disturbed == 3:
                break
    assert disturbed == 3, "commits came in between"


@pytest.mark.spec("E1")
def test_partitions_come_in_their_order_however_many_are_ahead_and_with_properties_that_were_added(redis_target: RedisTarget) -> None:
    """The plan was made when there was one property; now records have two."""
    store, partitions = store_at(redis_target.url, cluster=redis_target.cluster), 2 * AHEAD + 1
    properties = [{"name": "customer_id", "identifier": True}, {"name": "later"}]
    domain = Domain.model_validate({"version": 1, "kind": "domain", "name": NAME, "partitions": partitions, "properties": properties})
    create_domain(store, domain, initial_schema(domain), "")
    for partition in range(partitions):
        with store.on_node_of(keys.ids(NAME, partition), "making a profile") as node:
            node.set(keys.ids(NAME, partition), identifier(partition))
            node.set(keys.address_prefix(NAME, partition) + identifier(partition), b"R1\x1f0\x1f\x1f\x1f\x1fv%d\x1fw" % partition)
            node.hset(keys.meta(NAME, partition), mapping={"profiles": 1, "token": fresh_token()})
    make_segment(store, NAME, "all")
    plan = replace(PLAN, partitions=partitions, width=1, segments=("all",), segment_ids=(find_segment(store, NAME, "all").id,))

    with closing(export_partitions(store, plan, ExportProgress(silent, plan.partitions, 0))) as found:
        lines = [(one.exported, spool.read().decode()) for one, spool in found]
    assert lines == [(1, f"{identifier(partition).hex()},v{partition}\n") for partition in range(partitions)]

    with closing(export_partitions(store, plan, ExportProgress(silent, plan.partitions, 0))) as found:
        assert next(found)[0].exported == 1, "one that is left early waits for its threads"


def plan_of(store: Store) -> ExportPlan:
    return replace(PLAN, segment_ids=tuple(segments(store)))


@pytest.mark.spec("S5", "S6")
def test_members_of_two_definitions_are_not_listed_together(store: Store) -> None:
    listed = each_member(store, get_domain(store, NAME), find_segment(store, NAME, "odd"))
    next(listed)
    make_segment(store, NAME, "odd", of="tags")
    with pytest.raises(TransientError) as found:
        list(listed)
    assert found.value.code == "SEGMENTS_MOVED"
    assert len(list(each_member(store, get_domain(store, NAME), find_segment(store, NAME, "odd")))) == COUNT
