"""Ctrl-C and SIGTERM for programs that hold a stack of servers: the first asks to stop, the others must not break the stopping."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StoppedError(BaseException):
    """A person, or the system, asked us to stop. Not an Exception: nothing on the way may take it for a failure."""


@contextmanager
def stopped_by_signals(say: Callable[[str], None]) -> Iterator[None]:
    """The first signal raises StoppedError in the main thread; more of them are answered with words."""
    asked = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            say("still stopping: the workers finish what they hold, at most half a minute …")
            return
        asked = True
        raise StoppedError

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
