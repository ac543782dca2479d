"""MGET for many addresses, written and read as Redis does it: what is given is what redis-py's own gives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from headrace.address import ADDRESS_BYTES
from profile_store.read_addresses import mget_addresses, mget_each
from profile_store.store import Store
from tests.contract.profile_stores import store_at
from tests.servers.valkey import RedisTarget

PREFIX = b"{retail:0}:"


def address(number: int) -> bytes:
    return b"\r\n" + number.to_bytes(ADDRESS_BYTES - 2)


def packed(*numbers: int) -> bytes:
    return b"".join(map(address, numbers))


@pytest.fixture
def node(redis_target: RedisTarget) -> Iterator[redis.Redis]:
    """With values at 0 … 9, of one connection."""
    store: Store = store_at(redis_target.url, cluster=redis_target.cluster)
    with store.on_node_of(PREFIX.decode(), "trying") as found:
        for number in range(10):
            found.set(PREFIX + address(number), b"value %d\r\n" % number)
        yield found


def test_each_address_has_its_value_or_none(node: redis.Redis) -> None:
    assert mget_addresses(node, PREFIX, packed(3, 11, 0)) == [b"value 3\r\n", None, b"value 0\r\n"]
    assert mget_addresses(node, PREFIX, b"") == []


def test_batches_come_in_their_order(node: redis.Redis) -> None:
    found = list(mget_each(node, PREFIX, [packed(*range(number)) for number in range(1, 10)]))
    assert found == [[b"value %d\r\n" % one for one in range(number)] for number in range(1, 10)]
    assert list(mget_each(node, PREFIX, [])) == []


def test_a_batch_is_asked_for_while_the_one_before_is_looked_at(node: redis.Redis) -> None:
    batches = mget_each(node, PREFIX, [packed(1), packed(2), packed(3)])
    next(batches)
    node.ping()
    node.set(PREFIX + address(2), b"later")
    node.set(PREFIX + address(3), b"later")
    assert list(batches) == [[b"value 2\r\n"], [b"later"]]


def test_what_was_left_in_the_middle_is_no_answer_to_the_next_command(node: redis.Redis) -> None:
    for _ in range(3):
        batches = mget_each(node, PREFIX, iter([packed(1), packed(2), packed(3)]))
        next(batches)
        batches.close()
        assert [node.get(PREFIX + address(number)) for number in range(10)] == [b"value %d\r\n" % number for number in range(10)]


def test_where_the_next_batch_can_not_be_told_the_answer_under_way_is_dropped(node: redis.Redis) -> None:
    def batches() -> Iterator[bytes]:
        yield packed(1)
        yield packed(2)
        raise LookupError

    with pytest.raises(LookupError):
        list(mget_each(node, PREFIX, batches()))
    assert [node.get(PREFIX + address(number)) for number in range(10)] == [b"value %d\r\n" % number for number in range(10)]


def test_a_connection_that_breaks_in_the_middle_is_an_error_and_the_next_one_is_whole(node: redis.Redis) -> None:
    batches = mget_each(node, PREFIX, [packed(1), packed(2), packed(3)])
    next(batches)
    node.client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(redis.ConnectionError):
        list(batches)
    assert mget_addresses(node, PREFIX, packed(4)) == [b"value 4\r\n"]
