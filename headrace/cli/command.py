"""How every command runs: what it says, to whom, and its exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from headrace.cli.terminal import Terminal

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; what is meant for people goes to stderr.")]
ConnectionName = Annotated[str, typer.Argument(help="Name of an applied connection.", show_default=False)]

INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended, as shells have it."""

NO_SERVERS = "No HEADRACE_* says where the servers are, and no `headrace up` runs in this directory."


def run_command(as_json: bool, body: Callable[[Terminal], bool], where: str = "") -> None:
    """Exit 0 where `body` gives True. What Headrace knows how to explain is shown without a traceback; a bug is not hidden.

    `where`: what to tell whose servers do not answer.
    """
    from headrace.cli.terminal import Form, Terminal
    from headrace.errors import HeadraceError, TransientError

    terminal = Terminal.of(Form.JSON if as_json else Form.PEOPLE)
    try:
        done = body(terminal)
    except HeadraceError as error:
        if isinstance(error, TransientError):
            error.hint = " ".join(filter(None, (error.hint, where)))
        terminal.fail(error)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # Whoever read the output (head, less) has seen enough.
        sys.stderr.close()
        raise typer.Exit(1) from None
    if not done:
        raise typer.Exit(1)


def run_on_servers(as_json: bool, body: Callable[[Terminal], bool]) -> None:
    """`run_command`, with the stack that runs in this directory, unless HEADRACE_* says where the servers are."""
    from headrace.cli.environment import servers_are_named, use_running_stack

    use_running_stack()
    run_command(as_json, body, "" if servers_are_named() else NO_SERVERS)
