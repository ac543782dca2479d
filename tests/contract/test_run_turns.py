"""The turns of a connection's runs, on a real store (SPEC R2)."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from deployments.embedded.valkey import ValkeyServer
from headrace.settings import RedisSettings
from profile_store import keys
from profile_store.run_turns import Place, Turn, ask, leave
from profile_store.store import Store
from streaming.importing.await_run_turn import await_run_turn, holding_turn

EVERY = "every/import_profiles"


@pytest.fixture
def store(valkey: ValkeyServer) -> Store:
    return Store(RedisSettings(url=SecretStr(valkey.url)))


@pytest.mark.spec("R2")
def test_one_goes_on_one_waits_and_the_rest_are_spared(store: Store) -> None:
    assert ask(store, "crm", EVERY, "first") == Turn(Place.GOES)
    assert ask(store, "crm", EVERY, "second") == Turn(Place.WAITS, "first")
    for run_id in ("third", "fourth"):
        assert ask(store, "crm", EVERY, run_id) == Turn(Place.SPARED, "second")
    assert ask(store, "crm", EVERY, "first") == Turn(Place.GOES), "asked again, it keeps its place"
    assert ask(store, "other", EVERY, "elsewhere") == Turn(Place.GOES), "connections do not wait for each other"


@pytest.mark.spec("R2")
def test_the_one_that_waits_follows_and_the_next_may_wait_then(store: Store) -> None:
    for run_id in ("first", "second"):
        ask(store, "crm", EVERY, run_id)
    leave(store, "crm", EVERY, "first")
    assert ask(store, "crm", EVERY, "second") == Turn(Place.GOES)
    assert ask(store, "crm", EVERY, "third") == Turn(Place.WAITS, "second")


def test_a_run_that_is_to_do_something_else_waits_too(store: Store) -> None:
    """What it would do, the one that waits does not."""
    ask(store, "crm", EVERY, "first")
    ask(store, "crm", EVERY, "second")
    assert ask(store, "crm", "goal/customers", "third") == Turn(Place.WAITS, "first")


def test_who_leaves_takes_nobody_elses_place(store: Store) -> None:
    ask(store, "crm", EVERY, "first")
    ask(store, "crm", EVERY, "second")
    leave(store, "crm", EVERY, "stranger")
    assert ask(store, "crm", EVERY, "third") == Turn(Place.SPARED, "second")


def test_places_of_runs_that_died_are_free_after_a_while(store: Store) -> None:
    ask(store, "crm", EVERY, "first")
    ask(store, "crm", EVERY, "second")
    for key in (keys.turn("crm"), keys.waiting_turn("crm", EVERY)):
        assert 0 < int(store.client.ttl(key)) <= 30
        assert keys.lifetime_of(key.encode()) is not None


@pytest.mark.spec("R2")
def test_waiting_ends_with_the_run_that_is_waited_for(store: Store) -> None:
    said: list[str] = []
    ask(store, "crm", EVERY, "first")

    def end_of_the_first(what: str) -> None:
        said.append(what)
        leave(store, "crm", EVERY, "first")

    assert await_run_turn(store, "crm", EVERY, "second", end_of_the_first) == ""
    assert said == ["run first of connection crm goes on; this one waits for its end"]
    with holding_turn(store, "crm", EVERY, "second"):
        assert ask(store, "crm", EVERY, "third") == Turn(Place.WAITS, "second")
        spared = await_run_turn(store, "crm", EVERY, "fourth", said.append)
    assert spared.startswith("Nothing done: a run of connection crm goes on, and run third, which waits for its end")
    assert ask(store, "crm", EVERY, "third") == Turn(Place.GOES)
