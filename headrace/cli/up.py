"""`headrace up`: all of Headrace on this machine, in the foreground, until Ctrl-C."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deployments.embedded.processes import log_tail, port_or_free
from deployments.embedded.stack import EmbeddedStack, Ports, StackOptions, bootstrap_in_a_process
from headrace.cli.environment import DIRECTORY, remove_environment, write_environment
from headrace.cli.terminal import Terminal
from headrace.errors import TerminalError

LOOK_SECONDS = 0.5
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
VALKEY_PORT, KAFKA_PORT, S3_PORT, PREFECT_PORT = 6379, 9092, 9000, 4200


class StoppedError(BaseException):
    """A person, or the system, asked us to stop. Not an Exception: nothing on the way may take it for a failure."""


def run_stack(terminal: Terminal, directory: Path, merge_workers: int) -> bool:
    """True when it was stopped by a signal: that is how it ends. TerminalError when one of its processes ended by itself."""
    options = StackOptions(
        directory=directory,
        ports=Ports(*map(port_or_free, (VALKEY_PORT, KAFKA_PORT, S3_PORT, PREFECT_PORT))),
        merge_workers=merge_workers,
        bootstrap=bootstrap_in_a_process,
        report=lambda line: terminal.note(f"{line} …"),
    )
    stack = EmbeddedStack(options)
    with stopped_by_signals(terminal):
        try:
            _run(terminal, stack)
        except StoppedError:
            terminal.note("stopping everything …")
        finally:
            # Signals are only noted from here on: the second Ctrl-C of an impatient person must not leave half of it behind.
            stack.stop()
            remove_environment(stack.directory)
    terminal.note("everything is stopped")
    return True


def _run(terminal: Terminal, stack: EmbeddedStack) -> None:
    stack.start()
    path = write_environment(stack.directory, stack.environment())
    terminal.document({"addresses": stack.addresses, "environment": str(path)})
    terminal.show(_screen(stack, path))
    while not (ended := stack.ended()):
        time.sleep(LOOK_SECONDS)
    names = ", ".join(one.name for one in ended)
    tails = "\n".join(f"The end of {one.log_path}:\n{log_tail(one.log_path)}" for one in ended)
    raise TerminalError(
        f"{names} ended by itself, so everything was stopped. {tails}", code="SERVER_ENDED", hint="Read its log, then start again."
    )


@contextmanager
def stopped_by_signals(terminal: Terminal) -> Iterator[None]:
    """The first signal raises StoppedError in the main thread; more of them are answered with words."""
    asked = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            terminal.note("still stopping: the workers finish what they hold, at most half a minute …")
            return
        asked = True
        raise StoppedError

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _screen(stack: EmbeddedStack, environment: Path) -> Panel:
    rows = Table.grid(padding=(0, 2))
    for name, address in stack.addresses.items():
        rows.add_row(Text(name, style="bold"), Text(address, overflow="fold"))
    how = f"source {environment}"
    if stack.directory == DIRECTORY.resolve():
        how = f"in this directory by themselves; elsewhere after: {how}"
    rows.add_row(Text("Commands", style="bold"), Text(f"find these servers {how}", overflow="fold"))
    return Panel(rows, title="Headrace is up", subtitle="Ctrl-C stops all of it", title_align="left", subtitle_align="left", expand=False)
