"""The commands and their options. What each does is in a file of its own, imported when it is called."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from headrace.cli.terminal import Terminal

INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended, as shells have it."""

app = typer.Typer(
    help="Headrace turns CSV files in S3 into live customer profiles.",
    no_args_is_help=True,
    add_completion=False,
    # A traceback that shows local variables would show secrets.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
profile_app = typer.Typer(help="Look at profiles.", no_args_is_help=True)
app.add_typer(profile_app, name="profile")

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; what is meant for people goes to stderr.")]
Files = Annotated[list[Path], typer.Argument(help="Domain and connection files (YAML).", show_default=False)]
ConnectionName = Annotated[str, typer.Argument(help="Name of an applied connection.", show_default=False)]
GoalId = Annotated[str, typer.Argument(help="Id of one goal; nothing: every active goal.", show_default=False)]


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


@app.command()
def up(
    directory: Annotated[Path, typer.Option(help="Where everything is kept.")] = Path(".headrace"),
    merge_workers: Annotated[int, typer.Option(min=1, max=64, help="How many merge workers.")] = 2,
    as_json: Json = False,
) -> None:
    """Start all servers on this machine and stay; Ctrl-C stops them. For trying out, never for production."""
    from headrace.cli.up import run_stack

    run_command(as_json, lambda terminal: run_stack(terminal, directory, merge_workers))


@app.command()
def check(files: Files, as_json: Json = False) -> None:
    """Check domain and connection files; nothing is changed."""
    from headrace.cli.check import check_files

    run_on_servers(as_json, lambda terminal: check_files(terminal, files))


@app.command()
def apply(files: Files, as_json: Json = False) -> None:
    """Make what the files say: domains, connections, and their deployments in Prefect. Applying again changes nothing."""
    from headrace.cli.apply import apply_files

    run_on_servers(as_json, lambda terminal: apply_files(terminal, files))


@app.command()
def scan(connection: ConnectionName, goal: GoalId = "", as_json: Json = False) -> None:
    """List the files that match, and whether each is new, changed or imported; nothing is changed."""
    from headrace.cli.scan import scan_connection

    run_on_servers(as_json, lambda terminal: scan_connection(terminal, connection, goal))


@app.command()
def run(
    connection: ConnectionName,
    goal: GoalId = "",
    here: Annotated[bool, typer.Option("--here", help="In this process, without Prefect.")] = False,
    as_json: Json = False,
) -> None:
    """Import new and changed files, and wait for the end: through Prefect where PREFECT_API_URL is set, else in this process."""
    from headrace.cli.run import run_connection, way_of_running

    run_on_servers(as_json, lambda terminal: run_connection(terminal, connection, goal, way_of_running(here)))


@app.command()
def runs(
    connection: Annotated[str, typer.Argument(help="Nothing: all connections.", show_default=False)] = "",
    most: Annotated[int, typer.Option(min=1, max=1000, help="How many, the latest first.")] = 20,
    as_json: Json = False,
) -> None:
    """Show the history of runs."""
    from headrace.cli.runs import show_runs

    run_on_servers(as_json, lambda terminal: show_runs(terminal, connection, most))


@app.command()
def worker(
    domains: Annotated[list[str] | None, typer.Argument(help="Nothing: all domains.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Log as JSON lines on stdout.")] = False,
) -> None:
    """Run a merge worker until SIGTERM or Ctrl-C, which let it finish what it holds."""
    from headrace.cli.worker import run_worker

    run_on_servers(as_json, lambda terminal: run_worker(terminal, tuple(domains or ())))


@profile_app.command("get")
def profile_get(
    domain: Annotated[str, typer.Argument(show_default=False)],
    value: Annotated[str, typer.Argument(metavar="PROPERTY=VALUE", help="An identifier property and its value.", show_default=False)] = "",
    identifier: Annotated[
        str, typer.Option("--id", metavar="ID", help="The profile identifier: 32 hex characters.", show_default=False)
    ] = "",
    as_json: Json = False,
) -> None:
    """Show one profile."""
    from headrace.cli.profile import show_profile

    if bool(value) == bool(identifier):
        raise typer.BadParameter("give either --id ID or PROPERTY=VALUE")
    if value and "=" not in value:
        raise typer.BadParameter("write PROPERTY=VALUE, like customer_id=00001")
    run_on_servers(as_json, lambda terminal: show_profile(terminal, domain, identifier, value))
