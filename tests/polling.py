"""Waiting in tests: poll with a deadline that says what was awaited. Never a plain sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 0.5
BUSY = 3
"""A machine that runs five parts of the suite at once gets so many times as long."""


def eventually(check: Callable[[], T | None], *, within: float, what: str) -> T:
    """The first result of `check` that is neither None nor False. `within`: seconds on a machine that does nothing else.

    An AssertionError of `check` counts as "not yet"; the last one is told when the time is over.
    """
    deadline = time.monotonic() + BUSY * within
    pause = FIRST_PAUSE_SECONDS
    while True:
        seen = ""
        try:
            result = check()
        except AssertionError as error:
            result = None
            seen = f"; last seen: {error}"
        if result is not None and result is not False:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {BUSY * within:g} s: {what}{seen}")
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)
