"""Estimates and snapshots whose process ends: what was told of one never changes (SPEC S6)."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from api import computations
from api.computations import AT_ONCE, Computations
from api.errors import ApiError
from deployments.embedded.valkey import ValkeyServer
from headrace.errors import TransientError
from headrace.settings import RedisSettings
from profile_store import keys
from profile_store.computations import end_computation
from profile_store.store import Store
from tests.polling import eventually

pytestmark = pytest.mark.spec("S6")


@pytest.fixture
def store(valkey_server: ValkeyServer) -> Iterator[Store]:
    made = Store(RedisSettings(url=SecretStr(valkey_server.url)))
    yield made
    made.close()


class Work:
    """Goes on until it is let go. `ended`: how many have said how they ended, to Redis."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.ended, self._go_on = 0, 0, threading.Event()

        def end(*arguments: Any) -> Any:
            found = end_computation(*arguments)
            self.ended += 1
            return found

        monkeypatch.setattr("api.computations.end_computation", end)

    def __call__(self, _identity: str) -> dict[str, Any]:
        self.begun += 1
        assert self._go_on.wait(60)
        return {"Estimate": "7"}

    def let_go(self) -> None:
        self._go_on.set()


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    made = Work(monkeypatch)
    yield made
    made.let_go()


def test_what_goes_on_when_the_process_ends_has_failed_for_good(store: Store, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computations, "GRACE_SECONDS", 0.05)
    ending, other, domain = Computations(store), Computations(store), uuid.uuid4().hex
    ids = [ending.start(domain, {"Kind": "estimate"}, work) for _ in range(AT_ONCE + 1)]
    eventually(lambda: work.begun == AT_ONCE, within=10, what="as many as can be go on")
    ending.stop()
    told = [other.find(domain, one) for one in ids]
    assert told == [{"Kind": "estimate", **computations.ENDED}] * (AT_ONCE + 1)
    work.let_go()
    eventually(lambda: work.ended == 2 * AT_ONCE + 1, within=10, what="they came to their ends")
    assert [other.find(domain, one) for one in ids] == told
    assert work.begun == AT_ONCE
    with pytest.raises(ApiError, match="Too many"):
        ending.start(domain, {"Kind": "estimate"}, work)
    assert all(one.daemon for one in threading.enumerate() if one.name.startswith("computation")), "none keeps its process"
    other.stop()


def test_who_was_not_heard_of_has_failed_for_good(store: Store, work: Work) -> None:
    """Its process was away for longer than it is believed in."""
    away, domain = Computations(store), uuid.uuid4().hex
    identity = away.start(domain, {"Kind": "estimate"}, work)
    assert away.find(domain, identity) == {"Kind": "estimate", "Status": "RUNNING"}
    store.client.delete(keys.computing(domain, identity))
    told = away.find(domain, identity)
    assert told == {"Kind": "estimate", **computations.ENDED}
    work.let_go()
    eventually(lambda: work.ended == 2, within=10, what="it came to its end")
    assert away.find(domain, identity) == told
    away.stop()


def test_what_is_nearly_done_when_the_process_ends_is_done(store: Store, work: Work) -> None:
    ending, domain = Computations(store), uuid.uuid4().hex
    identity = ending.start(domain, {"Kind": "estimate"}, work)
    eventually(lambda: work.begun == 1, within=10, what="it goes on")
    stopping = threading.Thread(target=ending.stop)
    stopping.start()
    eventually(lambda: ending._stopping, within=10, what="it is told to end")
    work.let_go()
    stopping.join(30)
    assert ending.find(domain, identity) == {"Kind": "estimate", "Status": "SUCCEEDED", "Estimate": "7"}


def test_what_is_done_is_noted_when_redis_answers_again(store: Store, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    outages = [TransientError("Redis is away.", code="REDIS_UNAVAILABLE")] * 2

    def end(*arguments: Any) -> Any:
        if outages:
            raise outages.pop()
        return end_computation(*arguments)

    monkeypatch.setattr("api.computations.end_computation", end)
    made, domain = Computations(store), uuid.uuid4().hex
    identity = made.start(domain, {"Kind": "estimate"}, work)
    work.let_go()
    eventually(lambda: (made.find(domain, identity) or {})["Status"] != "RUNNING", within=10, what="it is over")
    assert made.find(domain, identity) == {"Kind": "estimate", "Status": "SUCCEEDED", "Estimate": "7"}
    assert not outages
    made.stop()
