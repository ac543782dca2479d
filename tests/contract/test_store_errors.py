"""What Redis says when it can't or won't, as the errors that the rest of the project goes by: wait, or call a person."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Callable

import pytest
import redis

from deployments.embedded.valkey import ValkeyServer
from headrace.errors import HeadraceError, TerminalError, TransientError
from profile_store import counts, keys, ledger, registry, runs, sequence
from profile_store.durability import barrier
from profile_store.partitions import CommitStatus, commit, read_profiles, take_over
from profile_store.store import Store, translated
from tests.contract.profile_stores import (
    DOMAIN,
    address,
    dump,
    new_profiles,
    owned,
    registration_of,
    store_at,
    with_domain,
    with_partitions,
    work_of,
)
from tests.servers.valkey import RedisTarget, ValkeyCluster

SECRET = "a-password-of-nobody"


def told(error: BaseException) -> str:
    """All that a log could hold of it."""
    return "".join(traceback.format_exception(error))


@pytest.mark.spec("C2")
def test_refused_credentials_need_a_person_and_are_not_told(redis_target: RedisTarget) -> None:
    url = redis_target.url.replace("redis://", f"redis://nobody:{SECRET}@")
    with pytest.raises(TerminalError, match="credentials") as refused:
        store_at(url, cluster=redis_target.cluster).check_safe()
    assert refused.value.code == "REDIS_DENIED"
    assert SECRET not in told(refused.value)
    assert "HEADRACE_REDIS_URL" in str(refused.value)


@pytest.mark.spec("C2")
def test_a_user_without_a_permission_needs_a_person(own_valkey: Callable[[], ValkeyServer]) -> None:
    server = own_valkey()
    with_partitions(store_at(server.url))
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("ACL", "SETUSER", "reader", "on", f">{SECRET}", "~*", "+@read", "+ping", "+client", "+hello")
    store = store_at(server.url.replace("redis://", f"redis://reader:{SECRET}@"))
    assert read_profiles(store, DOMAIN, 0, [address(1)]) == [None]
    with pytest.raises(TerminalError) as refused:
        take_over(store, DOMAIN, 0)
    assert refused.value.code == "REDIS_DENIED"
    assert SECRET not in told(refused.value)


def test_the_url_s_secret_is_in_no_text_of_the_settings(redis_target: RedisTarget) -> None:
    store = store_at(redis_target.url.replace("redis://", f"redis://nobody:{SECRET}@"), cluster=False)
    assert SECRET not in repr(store.settings) + str(store.settings) + repr(store)


def test_a_dead_server_is_an_outage_for_everything(own_valkey: Callable[[], ValkeyServer]) -> None:
    server = own_valkey()
    store = with_domain(store_at(server.url))
    state = owned(store)
    work = registration_of()
    run = runs.RunRecord("run-1", "crm", "customers", started=runs.now())
    server.kill()
    attempts: dict[str, Callable[[], object]] = {
        "take_over": lambda: take_over(store, DOMAIN, 0),
        "commit": lambda: commit(store, state, new_profiles(0, range(3))),
        "read_profiles": lambda: read_profiles(store, DOMAIN, 0, [address(1)]),
        "barrier": lambda: barrier(store, ["{retail}:mark"]),
        "register": lambda: sequence.register(store, work, work_of(work)),
        "load": lambda: sequence.load(store, DOMAIN, 1),
        "domain_floor": lambda: sequence.domain_floor(store, DOMAIN),
        "take_lease": lambda: sequence.take_lease(store, DOMAIN, 1, "a"),
        "drop_lease": lambda: sequence.drop_lease(store, DOMAIN, 1),
        "progress": lambda: counts.progress(store, DOMAIN, 4, 1),
        "raise_floors": lambda: counts.raise_floors(store, DOMAIN, 4, 1),
        "drop_import": lambda: counts.drop_import(store, DOMAIN, 4, 1),
        "put_result": lambda: sequence.put_result(store, DOMAIN, 1, {"state": "COMPLETE"}),
        "read_rejects": lambda: counts.read_rejects(store, DOMAIN, 0, 1),
        "read_ledger": lambda: ledger.read_ledger(store, DOMAIN, "crm", "customers"),
        "get_domain": lambda: registry.get_domain(store, DOMAIN),
        "write_run": lambda: runs.write_run(store, run),
        "check_safe": store.check_safe,
    }
    for name, attempt in attempts.items():
        with pytest.raises(TransientError) as refused:
            attempt()
        assert refused.value.code == "REDIS_UNAVAILABLE", name
    own_valkey()
    assert owned(store).profiles == 0


def test_an_answer_that_comes_too_late_is_nobody_else_s(own_valkey: Callable[[], ValkeyServer]) -> None:
    """The connection on which it may still come is given up."""
    server = own_valkey()
    settings = store_at(server.url).settings.model_copy(update={"timeout_seconds": 2.0})
    store = with_partitions(Store(settings))
    state = owned(store)
    assert commit(store, state, new_profiles(0, range(2)))[0] is CommitStatus.OK
    [first, second] = read_profiles(store, DOMAIN, 0, [address(0), address(1)])
    assert first != second
    server.process.signal(signal.SIGSTOP)
    goes_on = threading.Timer(0.3, server.process.signal, [signal.SIGCONT])
    try:
        with pytest.raises(TransientError):
            read_profiles(store, DOMAIN, 0, [address(0)])
        goes_on.start()  # while the next command waits: the first answer to come is that to the command before
        assert read_profiles(store, DOMAIN, 0, [address(1)]) == [second]
    finally:
        server.process.signal(signal.SIGCONT)
        goes_on.join()


def test_a_dead_node_of_a_cluster_is_an_outage_where_it_is_found_first() -> None:
    with pytest.raises(TransientError, match="REDIS_UNAVAILABLE"):
        store_at("redis://127.0.0.1:1/0", cluster=True)


@pytest.mark.parametrize(
    "reply",
    [
        "LOADING Valkey is loading the dataset in memory",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "READONLY You can't write against a read only replica.",
        "MISCONF Errors writing to the AOF file: No space left on device",
        "CLUSTERDOWN The cluster is down",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "MASTERDOWN Link with MASTER is down",
        "BUSY Valkey is busy running a script.",
        "NOREPLICAS Not enough good replicas to write.",
    ],
)
def test_what_passes_by_waiting_is_an_outage(partitioned: Store, reply: str) -> None:
    """The server says it, word for word; the library makes of it what it makes."""
    with pytest.raises(TransientError) as refused, translated("testing"):
        partitioned.client.eval("return redis.error_reply(ARGV[1])", 1, "{retail}:mark", reply)
    assert refused.value.code == "REDIS_UNAVAILABLE"
    assert "testing" in str(refused.value)


@pytest.mark.parametrize(
    "reply",
    ["WRONGTYPE Operation against a key holding the wrong kind of value", f"ERR unknown command 'X', with args beginning with: '{SECRET}'"],
)
def test_what_redis_refuses_for_good_says_nothing_about_a_file(partitioned: Store, reply: str) -> None:
    """No import is ended FAILED for it. What Redis quotes is not told: it may be arguments."""
    with pytest.raises(HeadraceError) as refused, translated("testing"):
        partitioned.client.eval("return redis.error_reply(ARGV[1])", 1, "{retail}:mark", reply)
    assert refused.value.code == "REDIS_REFUSED"
    assert not isinstance(refused.value, (TerminalError, TransientError))
    assert reply.split()[1] in str(refused.value)
    assert SECRET not in str(refused.value)


def test_a_slot_that_has_moved_is_an_outage(valkey_cluster: ValkeyCluster) -> None:
    """The next attempt goes where it is now."""
    store = with_partitions(store_at(valkey_cluster.url, cluster=True))
    mark = keys.meta(DOMAIN, 0)
    elsewhere = next(node for node in store.nodes() if node is not store.node_of(mark))
    with pytest.raises(TransientError, match="REDIS_UNAVAILABLE"), translated("testing"):
        elsewhere.hget(mark, "floor")


@pytest.fixture
def partitioned(redis_target: RedisTarget) -> Store:
    return with_partitions(store_at(redis_target.url, cluster=redis_target.cluster))


def test_a_server_that_hangs_is_an_outage_after_the_time_out(own_valkey: Callable[[], ValkeyServer]) -> None:
    server = own_valkey()
    with_partitions(store_at(server.url))
    store = store_at(server.url, timeout_seconds=0.3)
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("CLIENT", "PAUSE", 60_000, "ALL")
    with pytest.raises(TransientError, match="REDIS_UNAVAILABLE"):
        take_over(store, DOMAIN, 0)


def test_scripts_that_the_server_forgot_are_sent_again(partitioned: Store) -> None:
    state = owned(partitioned)
    for node in partitioned.nodes():
        node.script_flush()
    assert commit(partitioned, state, new_profiles(0, range(3)))[0] == "OK"
    assert owned(partitioned).profiles == 3
    assert len(dump(partitioned)) > 4
