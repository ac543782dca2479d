"""`headrace up`: all of Headrace on this machine, in the foreground, until Ctrl-C."""

from __future__ import annotations

import time
from pathlib import Path

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deployments.embedded.processes import log_tail, port_or_free
from deployments.embedded.stack import EmbeddedStack, Ports, StackOptions, bootstrap_in_a_process
from deployments.stop_signals import StoppedError, stopped_by_signals
from headrace.cli.environment import DIRECTORY, remove_environment, write_environment
from headrace.cli.terminal import Terminal
from headrace.errors import TerminalError

LOOK_SECONDS = 0.5
VALKEY_PORT, KAFKA_PORT, S3_PORT, PREFECT_PORT, API_PORT = 6379, 9092, 9000, 4200, 8443


def run_stack(terminal: Terminal, directory: Path, merge_workers: int) -> bool:
    """True when it was stopped by a signal: that is how it ends. TerminalError when one of its processes ended by itself."""
    options = StackOptions(
        directory=directory,
        ports=Ports(*map(port_or_free, (VALKEY_PORT, KAFKA_PORT, S3_PORT, PREFECT_PORT, API_PORT))),
        merge_workers=merge_workers,
        apis=1,
        bootstrap=bootstrap_in_a_process,
        report=lambda line: terminal.note(f"{line} …"),
    )
    stack = EmbeddedStack(options)
    with stopped_by_signals():
        try:
            _run(terminal, stack)
        except StoppedError:
            terminal.note("stopping everything …")
        finally:
            # Signals are only noted from here on: the second Ctrl-C of an impatient person must not leave half of it behind.
            stack.stop()
    terminal.note("everything is stopped")
    return True


def _run(terminal: Terminal, stack: EmbeddedStack) -> None:
    stack.start()
    try:
        path = write_environment(stack.directory, stack.environment())
        terminal.document({"addresses": stack.addresses, "environment": str(path)})
        terminal.show(_screen(stack, path))
        while not (ended := stack.ended()):
            time.sleep(LOOK_SECONDS)
    finally:
        # Only who started a stack here: another `headrace up` that was refused leaves the running one to be found.
        remove_environment(stack.directory)
    names = ", ".join(one.name for one in ended)
    tails = "\n".join(f"The end of {one.log_path}:\n{log_tail(one.log_path)}" for one in ended)
    raise TerminalError(
        f"{names} ended by itself, so everything was stopped. {tails}", code="SERVER_ENDED", hint="Read its log, then start again."
    )


def _screen(stack: EmbeddedStack, environment: Path) -> Panel:
    rows = Table.grid(padding=(0, 2))
    for name, address in stack.addresses.items():
        rows.add_row(Text(name, style="bold"), Text(address, overflow="fold"))
    how = f"source {environment}"
    if stack.directory == DIRECTORY.resolve():
        how = f"in this directory by themselves; elsewhere after: {how}"
    rows.add_row(Text("Commands", style="bold"), Text(f"find these servers {how}", overflow="fold"))
    return Panel(rows, title="Headrace is up", subtitle="Ctrl-C stops all of it", title_align="left", subtitle_align="left", expand=False)
