"""How many members a definition would have, and who they are, over what lies in the store (SPEC S6)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.domains import Domain
from headrace.errors import UnsupportedFormatError
from headrace.schema import DomainSchema, initial_schema
from headrace.segments import Segment
from profile_store import keys
from profile_store.registry import create_domain, get_domain
from profile_store.store import Store
from streaming.segments.estimate import estimate
from streaming.segments.search import search
from tests.contract.profile_stores import store_at
from tests.servers.valkey import RedisTarget

NAME, PARTITIONS, EACH = "retail", 32, 20
"""Profiles in each partition, `EACH`: every second one has the tag a, the others b."""


@pytest.fixture
def store(redis_target: RedisTarget) -> Store:
    made = store_at(redis_target.url, cluster=redis_target.cluster)
    properties = [{"name": "customer_id", "identifier": True}, {"name": "tag"}]
    domain = Domain.model_validate({"version": 1, "kind": "domain", "name": NAME, "partitions": PARTITIONS, "properties": properties})
    create_domain(made, domain, initial_schema(domain), "")
    for partition in range(PARTITIONS):
        addresses = [identifier(partition, number) for number in range(EACH)]
        prefix = keys.address_prefix(NAME, partition)
        with made.on_node_of(keys.meta(NAME, partition), "making profiles") as node:
            node.set(keys.ids(NAME, partition), b"".join(addresses))
            node.hset(keys.meta(NAME, partition), "profiles", EACH)
            node.mset(
                {prefix + one: b"R1\x1f%d\x1f\x1f\x1f\x1fC\x1f%s" % (at, b"ab"[at % 2 : at % 2 + 1]) for at, one in enumerate(addresses)}
            )
    return made


def identifier(partition: int, number: int) -> bytes:
    return (1 << 64 | partition << 32 | number).to_bytes(16, "big")


def erase(store: Store, partition: int, number: int) -> None:
    """As a commit leaves it."""
    with store.on_node_of(keys.meta(NAME, partition), "erasing") as node:
        node.delete(keys.address_prefix(NAME, partition) + identifier(partition, number))
        node.setrange(keys.ids(NAME, partition), number * 16, bytes(16))


def tagged(*tags: str) -> Segment:
    dimension = {"property": "tag", "comparison": "inclusive", "values": tags}
    return Segment.model_validate(
        {"version": 1, "kind": "segment", "domain": NAME, "name": "some", "groups": [{"dimensions": [dimension]}]}
    )


@pytest.mark.spec("S6")
def test_an_estimate_of_everybody_is_everybody_however_few_are_looked_at(store: Store) -> None:
    domain = get_domain(store, NAME)
    for sample in (1, 5, 31, 33, 100, PARTITIONS * EACH - 1):
        found = estimate(store, domain, tagged("a", "b"), sample)
        assert found.estimated == PARTITIONS * EACH, sample
        assert sample <= found.looked_at <= 2 * sample, "about so many"
        assert found.is_exact is (found.looked_at == PARTITIONS * EACH)
        assert estimate(store, domain, tagged("c"), sample).estimated == 0


@pytest.mark.spec("S6")
def test_an_estimate_of_some_is_near_the_truth_and_exact_over_all(store: Store) -> None:
    domain, half = get_domain(store, NAME), PARTITIONS * EACH // 2
    for sample in (0, PARTITIONS * EACH, 10 * PARTITIONS * EACH):
        found = estimate(store, domain, tagged("a"), sample)
        assert (found.estimated, found.looked_at, found.is_exact) == (half, PARTITIONS * EACH, True)
    about = estimate(store, domain, tagged("a"), 200)
    assert not about.is_exact
    assert half * 0.9 <= about.estimated <= half * 1.1


@pytest.mark.spec("S6")
def test_erased_profiles_are_nobody_in_an_estimate(store: Store) -> None:
    for partition in range(PARTITIONS):
        for number in range(EACH - 2):
            erase(store, partition, number)
    domain = get_domain(store, NAME)
    assert estimate(store, domain, tagged("a", "b"), 100).estimated == PARTITIONS * 2
    found = estimate(store, domain, tagged("a"))
    assert (found.estimated, found.looked_at, found.is_exact) == (PARTITIONS, PARTITIONS * 2, True)


@pytest.mark.spec("S6")
def test_a_schema_that_grows_after_the_call_began_is_read_again(store: Store) -> None:
    """The records have more properties than the domain that the caller read."""
    domain, half = get_domain(store, NAME), PARTITIONS * EACH // 2
    before = replace(domain, schema=DomainSchema(domain.schema.version - 1, domain.schema.properties[:1]))
    named = {"property": "customer_id", "comparison": "inclusive", "values": ["C"]}
    everybody = tagged("a").model_validate({**tagged("a").model_dump(), "groups": [{"dimensions": [named]}]})
    assert estimate(store, before, everybody).estimated == 2 * half
    found, _ = search(store, before, everybody, "", 3)
    assert [one.values for one in found] == [{"customer_id": "C", "tag": tag} for tag in ("a", "b", "a")]


def test_a_record_that_no_schema_explains_is_an_error(store: Store) -> None:
    domain = get_domain(store, NAME)
    with store.on_node_of(keys.meta(NAME, 0), "writing a record too wide") as node:
        node.set(keys.address_prefix(NAME, 0) + identifier(0, 0), b"R1\x1f0\x1f\x1f\x1f\x1fC\x1fa\x1fwhat")
    with pytest.raises(UnsupportedFormatError):
        estimate(store, domain, tagged("a"))
    with pytest.raises(UnsupportedFormatError):
        search(store, domain, tagged("a"), "", 3)
