"""Whose turn it is among the runs of a connection (SPEC R2): one goes on, one of its kind waits, and further ones need not wait too.

A turn saves work, it guards nothing: two runs of one connection at once are harmless, since the domain's sequence orders their imports and the
ledger knows each file. So a turn is a key that expires unless its run renews it, like an import's lease.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from profile_store import keys
from profile_store.store import Store, text, translated

TURN_SECONDS = 30


class Place(Enum):
    GOES = "goes"
    WAITS = "waits"
    SPARED = "spared"


@dataclass(frozen=True, slots=True)
class Turn:
    """`other`: the run that goes on, for one that waits; the run that waits, for one that is spared. Empty where that is over by now."""

    place: Place
    other: str = ""


def ask(store: Store, connection: str, scope: str, run_id: str) -> Turn:
    """`scope`: what the run is to do. Of those that are to do the same, one waits: it begins later than all that ask meanwhile, so that it finds
    every file that they would. Asked again, a run keeps the place it has, for TURN_SECONDS more."""
    going, waiting = keys.turn(connection), keys.waiting_turn(connection, scope)
    if _hold(store, going, run_id):
        _let_go(store, waiting, run_id)
        return Turn(Place.GOES)
    if _hold(store, waiting, run_id):
        return Turn(Place.WAITS, _holder(store, going))
    return Turn(Place.SPARED, _holder(store, waiting))


def leave(store: Store, connection: str, scope: str, run_id: str) -> None:
    """Give up whatever place the run has."""
    _let_go(store, keys.turn(connection), run_id)
    _let_go(store, keys.waiting_turn(connection, scope), run_id)


def _hold(store: Store, key: str, run_id: str) -> bool:
    with translated("asking for a run's turn"):
        if store.client.set(key, run_id, nx=True, ex=TURN_SECONDS):
            return True
        if _holder(store, key) != run_id:
            return False
        store.client.expire(key, TURN_SECONDS)
    return True


def _let_go(store: Store, key: str, run_id: str) -> None:
    if _holder(store, key) == run_id:
        with translated("giving up a run's turn"):
            store.client.delete(key)


def _holder(store: Store, key: str) -> str:
    with translated("asking for a run's turn"):
        found = store.client.get(key)
    return "" if found is None else text(found)
