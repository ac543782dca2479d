"""Ctrl-C and SIGTERM for programs that hold a stack of servers: the first asks to stop, the others must not break the stopping."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STDERR = 2
PATIENCE = "still stopping: the workers finish what they hold, at most half a minute …\n"


class StoppedError(BaseException):
    """A person, or the system, asked us to stop. Not an Exception: nothing on the way may take it for a failure."""


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """The first signal raises StoppedError in the main thread; more of them are answered with words on stderr.

    Straight to the descriptor: Python runs handlers also in the middle of a write to `sys.stderr`, which can't be entered twice. It raises RuntimeError,
    and that would break off the stopping.
    """
    asked = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            with suppress(OSError):  # nobody reads it any more
                os.write(STDERR, PATIENCE.encode())
            return
        asked = True
        raise StoppedError

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
