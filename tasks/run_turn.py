"""The turn of a run among those of its connection: at most one goes on, and one waits (SPEC R2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.logging import get_run_logger

from headrace.goal_choice import Kinds
from streaming.importing import await_run_turn as waiting
from streaming.importing.await_run_turn import scope_of
from tasks.opened import opened
from tasks.record_run import RunIdentity, record_waiting
from tasks.step import step


@step
def await_run_turn(run: RunIdentity, kinds: Kinds) -> str:
    """Returns when it is the run's turn, empty; or why there is nothing for it to do."""

    def said(what: str) -> None:
        get_run_logger().info("%s", what)
        record_waiting(run, f"Waiting: {what}.")

    with opened() as context:
        return waiting.await_run_turn(context.store, run.connection, scope_of(kinds, run.goal), run.run_id, said)


@contextmanager
def holding_turn(run: RunIdentity, kinds: Kinds) -> Iterator[None]:
    with opened() as context, waiting.holding_turn(context.store, run.connection, scope_of(kinds, run.goal), run.run_id):
        yield
