"""How Prefect runs the steps of an import: again after an outage, and without keeping what they take or give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from headrace.errors import TransientError

P = ParamSpec("P")
R = TypeVar("R")

WAITS_SECONDS = [1, 2, 5, 10, 20, 40, 60]
"""Before each further attempt, all of an outage of two minutes. After that the import stays open, and the next run takes it up."""


def is_outage(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    return isinstance(state.data, TransientError)


def step(function: Callable[P, R]) -> Task[P, R]:
    """A task that may be repeated at any time: every step of an import is idempotent.

    Nothing is cached or persisted: no result leaves the flow's process. Parameters are names and numbers; a task fetches secrets itself.
    """
    make: Callable[[Callable[P, R]], Task[P, R]] = task(
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=len(WAITS_SECONDS),
        retry_delay_seconds=[float(seconds) for seconds in WAITS_SECONDS],
        retry_condition_fn=is_outage,
    )
    return make(function)
