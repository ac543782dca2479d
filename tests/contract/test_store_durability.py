"""What Redis acknowledged and what it has on disk; and which Redis is refused from the start."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from deployments.embedded import valkey
from deployments.embedded.valkey import ValkeyServer
from headrace.errors import TerminalError, TransientError
from profile_store import counts, sequence
from profile_store.durability import barrier, partition_marks, read_durable
from profile_store.partitions import CommitStatus, commit, read_durable_heard, read_durable_tokens
from tests.contract.profile_stores import (
    DOMAIN,
    PARTITIONS,
    dump,
    log_of_commands,
    new_profiles,
    owned,
    registration_of,
    store_at,
    with_domain,
    with_partitions,
    work_of,
)
from tests.polling import eventually
from tests.servers.valkey import RedisTarget, ValkeyCluster

SHORT_WAIT = "profile_store.durability._WAIT_MS"


@contextmanager
def configured(url: str, **settings: object) -> Iterator[None]:
    """The server with other settings for a while; a shared one must be as it was afterwards."""
    with redis.Redis.from_url(url) as client:
        names = {name: name.replace("_", "-") for name in settings}
        before = {name: client.config_get(spelled)[spelled] for name, spelled in names.items()}
        try:
            for name, value in settings.items():
                client.config_set(names[name], value)
            yield
        finally:
            for name, old in before.items():
                client.config_set(names[name], old)


@pytest.mark.spec("B1")
@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_what_lies_before_a_barrier_is_there_after_a_crash(own_valkey: Callable[[], ValkeyServer], fsync: str) -> None:
    server = own_valkey()
    store = with_domain(store_at(server.url))
    store.client.config_set("appendfsync", fsync)
    state = owned(store)
    assert commit(store, state, new_profiles(0, range(1_000), rejects=b"why"))[0] is CommitStatus.OK
    barrier(store, partition_marks(DOMAIN, [0]))
    before = dump(store)
    server.kill()
    own_valkey()
    assert dump(store) == before


def test_a_barrier_waits_for_the_disk_and_not_for_the_answer(
    own_valkey: Callable[[], ValkeyServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that never fsyncs acknowledges everything and makes nothing durable; it passes when the disk has it."""
    server = own_valkey()
    store = with_partitions(store_at(server.url))
    store.client.config_set("appendfsync", "no")
    assert commit(store, owned(store), new_profiles(0, range(10)))[0] is CommitStatus.OK
    monkeypatch.setattr(SHORT_WAIT, 200)
    with pytest.raises(TransientError, match="NOT_DURABLE"):
        barrier(store, partition_marks(DOMAIN, [0]))
    with pytest.raises(TransientError, match="NOT_DURABLE"):
        read_durable_tokens(store, DOMAIN, [0])
    monkeypatch.setattr(SHORT_WAIT, 20_000)
    waiting = threading.Thread(target=barrier, args=(store, partition_marks(DOMAIN, [0])), daemon=True)
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    store.client.config_set("appendfsync", "everysec")
    eventually(lambda: not waiting.is_alive(), within=10, what="the barrier passes")


def test_a_barrier_waits_for_every_node_of_its_marks(valkey_cluster: ValkeyCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    store = with_partitions(store_at(valkey_cluster.url, cluster=True))
    everywhere = partition_marks(DOMAIN, range(PARTITIONS))
    nodes = {mark: store.node_of(mark).connection_pool.connection_kwargs["port"] for mark in everywhere}
    assert len(set(nodes.values())) > 1
    [url] = [node.url for node in valkey_cluster.nodes if node.port == nodes[everywhere[0]]]
    monkeypatch.setattr(SHORT_WAIT, 200)
    with configured(url, appendfsync="no"):
        with pytest.raises(TransientError, match="NOT_DURABLE"):
            barrier(store, everywhere)
        barrier(store, [mark for mark, port in nodes.items() if port != nodes[everywhere[0]]])
    barrier(store, everywhere)


@pytest.mark.parametrize("durability", ["fsync_always", "everysec"])
def test_where_there_is_nothing_to_wait_for_nothing_is_written(redis_target: RedisTarget, durability: str) -> None:
    store = with_partitions(store_at(redis_target.url, cluster=redis_target.cluster, durability=durability))
    state = owned(store)
    before = dump(store)
    barrier(store, partition_marks(DOMAIN, range(PARTITIONS)))
    assert read_durable_tokens(store, DOMAIN, [0]) == {0: state.token}
    assert read_durable_heard(store, DOMAIN, {0: [1]}) == {(0, 1): -1}
    assert dump(store) == before


def test_what_is_on_disk_is_told_for_all_partitions_at_once(redis_target: RedisTarget) -> None:
    store = with_partitions(store_at(redis_target.url, cluster=redis_target.cluster))
    states = [owned(store, partition) for partition in range(PARTITIONS)]
    for batch_no in range(3):
        _, states[0] = commit(store, states[0], new_profiles(batch_no, range(batch_no, batch_no + 1)))
    counts.raise_floors(store, DOMAIN, 1, 1)
    assert read_durable_tokens(store, DOMAIN, range(PARTITIONS)) == {one.partition: one.token for one in states}
    assert read_durable_tokens(store, "nowhere", [0]) == {}
    assert read_durable_tokens(store, DOMAIN, []) == {}


@pytest.mark.spec("B1")
def test_what_redis_lost_since_is_not_taken_for_durable(own_valkey: Callable[[], ValkeyServer]) -> None:
    """The server acknowledges, crashes, and comes back without its last second: the next barrier is one of its new life."""
    server = own_valkey()
    store = with_partitions(store_at(server.url))
    log = log_of_commands(server.options.data_directory)
    state = owned(store)
    _, durable = commit(store, state, new_profiles(0, range(10)))
    barrier(store, partition_marks(DOMAIN, [0]))
    size = log.stat().st_size
    _, state = commit(store, durable, new_profiles(1, range(10, 20)))
    server.kill()
    with log.open("r+b") as file:
        file.truncate(size)
    own_valkey()
    assert read_durable_tokens(store, DOMAIN, [0]) == {0: durable.token}
    assert commit(store, state, new_profiles(2, range(20, 30)))[0] is CommitStatus.TOKEN


@pytest.mark.spec("B1")
def test_a_registration_is_durable_when_it_has_its_number(own_valkey: Callable[[], ValkeyServer], monkeypatch: pytest.MonkeyPatch) -> None:
    server = own_valkey()
    store = with_domain(store_at(server.url))
    store.client.config_set("appendfsync", "no")
    monkeypatch.setattr(SHORT_WAIT, 200)
    work = registration_of()
    with pytest.raises(TransientError, match="NOT_DURABLE"):
        sequence.register(store, work, work_of(work))
    with pytest.raises(TransientError, match="NOT_DURABLE"):
        counts.raise_floors(store, DOMAIN, PARTITIONS, 1)
    done = sequence.load(store, DOMAIN, 1)
    assert done is not None
    with pytest.raises(TransientError, match="NOT_DURABLE"):
        sequence.end(store, done, work_of(work))


def test_a_wait_on_a_connection_that_was_made_anew_is_no_wait(own_valkey: Callable[[], ValkeyServer]) -> None:
    """As redis-py makes it between two commands, where another thread has read a cluster's map again: WAITAOF knows of no write of that one."""
    server = own_valkey()
    store = store_at(server.url)
    mark = partition_marks(DOMAIN, [0])[0]
    with configured(server.url, appendfsync="no"), pytest.raises(TransientError, match="made anew"):
        read_durable(store, mark, lambda connection: connection.connection.mark_for_reconnect())
    assert read_durable(store, mark, lambda connection: connection.hget(mark, "mark")) == b"1"


# --- which Redis is refused

UNSAFE: list[tuple[dict[str, str], str, str]] = [
    ({"maxmemory_policy": "allkeys-lru"}, "waitaof", "maxmemory-policy noeviction"),
    ({"maxmemory_policy": "volatile-ttl"}, "everysec", "maxmemory-policy noeviction"),
    ({"appendonly": "no"}, "waitaof", "appendonly yes"),
    ({"appendonly": "no"}, "fsync_always", "appendonly yes"),
    ({"appendfsync": "everysec"}, "fsync_always", "appendfsync always"),
]


@pytest.mark.parametrize(("settings", "durability", "advice"), UNSAFE)
def test_a_redis_that_could_lose_what_it_acknowledged_is_refused(
    own_valkey: Callable[[], ValkeyServer], settings: dict[str, Any], durability: str, advice: str
) -> None:
    server = own_valkey()
    store = store_at(server.url, durability=durability)
    store.check_safe()
    with configured(server.url, **settings):
        with pytest.raises(TerminalError, match=advice) as refused:
            store.check_safe()
        assert refused.value.code == "UNSAFE_REDIS"
    store.check_safe()


def test_a_redis_that_loads_its_data_is_no_unsafe_one(own_valkey: Callable[[], ValkeyServer], monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading, it says that it has no append-only file: whoever starts beside it, as after a power cut, must wait, not give up."""
    server = own_valkey()
    store = store_at(server.url)
    with redis.Redis.from_url(server.url) as client, client.pipeline(transaction=False) as pipe:
        for number in range(10_000):
            pipe.set(f"key-{number}", "x")
        pipe.execute()
    server.kill()
    plain = valkey.command
    monkeypatch.setattr(valkey, "command", lambda options: (*plain(options), "--key-load-delay", "600"))
    again = threading.Thread(target=own_valkey, daemon=True)
    again.start()

    def loads() -> bool:
        with pytest.raises(TransientError, match="REDIS_UNAVAILABLE") as refused:
            store.check_safe()
        return "Redis loads its data" in str(refused.value)

    eventually(loads, within=30, what="Redis is asked while it loads")
    again.join(90)
    store.check_safe()


def test_one_unsafe_node_of_a_cluster_is_enough(valkey_cluster: ValkeyCluster) -> None:
    store = store_at(valkey_cluster.url, cluster=True)
    store.check_safe()
    for node in valkey_cluster.nodes:
        with configured(node.url, maxmemory_policy="allkeys-random"), pytest.raises(TerminalError, match="UNSAFE_REDIS"):
            store.check_safe()
    store.check_safe()


def test_a_redis_whose_settings_can_t_be_read_is_believed(own_valkey: Callable[[], ValkeyServer]) -> None:
    """A managed Redis hides CONFIG; what INFO tells is judged all the same."""
    server = own_valkey()
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-config")
    store_at(server.url.replace("redis://", "redis://app:pw@"), durability="fsync_always").check_safe()
