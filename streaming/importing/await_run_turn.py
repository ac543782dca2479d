"""Wait for the run of the connection that goes on, and keep others waiting (SPEC R2)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from headrace.errors import HeadraceError
from profile_store import run_turns
from profile_store.run_turns import TURN_SECONDS, Place, Turn
from profile_store.store import Store

LOOK_SECONDS = 2.0


def await_run_turn(store: Store, connection: str, scope: str, run_id: str, said: Callable[[str], None]) -> str:
    """Until it is this run's turn: empty then. At once where another one waits that will do the same: why this one has nothing to do.

    `said` hears which run it waits for, once for each. Raises TransientError: ask again.
    """
    known = ""
    while (turn := run_turns.ask(store, connection, scope, run_id)).place is not Place.GOES:
        if turn.place is Place.SPARED:
            return _why_spared(connection, turn)
        if turn.other and turn.other != known:
            known = turn.other
            said(f"run {known} of connection {connection} goes on; this one waits for its end")
        time.sleep(LOOK_SECONDS)
    return ""


@contextmanager
def holding_turn(store: Store, connection: str, scope: str, run_id: str) -> Iterator[None]:
    """Keeps the turn while the block runs, and gives it up at its end. Should it be lost, the block goes on: no harm is done."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(TURN_SECONDS / 3):
            with suppress(HeadraceError):
                run_turns.ask(store, connection, scope, run_id)

    thread = threading.Thread(target=renew, name=f"turn-{connection}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with suppress(HeadraceError):
            run_turns.leave(store, connection, scope, run_id)


def scope_of(kinds: tuple[str, ...], goal: str) -> str:
    """What a run is to do, as a word: runs of one scope do the same."""
    return f"goal/{goal}" if goal else f"every/{'+'.join(kinds)}"


def _why_spared(connection: str, turn: Turn) -> str:
    which = f"run {turn.other}, which" if turn.other else "another run, which"
    return f"Nothing done: a run of connection {connection} goes on, and {which} waits for its end, will do what this one was to do."
