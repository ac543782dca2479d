"""The commands and their options. What each does is in a file of its own, imported when it is called."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.command import ConnectionName, Json, run_command, run_on_servers
from headrace.cli.goal_commands import connection_app, goal_app
from headrace.cli.segment_commands import segment_app

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
app.add_typer(goal_app, name="goal")
app.add_typer(connection_app, name="connection")
app.add_typer(segment_app, name="segment")

rejects_app = typer.Typer(help="Look at what imports rejected, and replay it corrected.", no_args_is_help=True)
app.add_typer(rejects_app, name="rejects")

Files = Annotated[list[Path], typer.Argument(help="Domain, connection and segment files (YAML).", show_default=False)]
GoalId = Annotated[str, typer.Argument(help="Id of one goal; nothing: every active goal.", show_default=False)]
OnlyGoal = Annotated[str, typer.Argument(help="Id of one goal; may be left out where the connection has but one.", show_default=False)]
File = Annotated[str, typer.Option(metavar="KEY", help="Key of a file; nothing: the newest that matches.", show_default=False)]
Rows = Annotated[int, typer.Option(min=1, max=10_000, help="How many rows to look at.")]


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
def apply(
    files: Files,
    plan: Annotated[bool, typer.Option("--plan", help="Show what would change, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, whatever is removed or imported again.")] = False,
    as_json: Json = False,
) -> None:
    """Make what the files say: domains, connections, and their deployments in Prefect. Applying again changes nothing."""
    from headrace.cli.apply import Manner, apply_files

    manner = Manner.ONLY_SHOW if plan else Manner.AT_ONCE if yes else Manner.ASK
    run_on_servers(as_json, lambda terminal: apply_files(terminal, files, manner))


@app.command()
def scan(connection: ConnectionName, goal: GoalId = "", as_json: Json = False) -> None:
    """List the files that match, and whether each is new, changed or imported; of exports what lies there, and how many profiles are available."""
    from headrace.cli.scan import scan_connection

    run_on_servers(as_json, lambda terminal: scan_connection(terminal, connection, goal))


@app.command()
def buckets(connection: ConnectionName, as_json: Json = False) -> None:
    """List the buckets that the connection's key can see. A key that may not list them can read a bucket that is typed all the same."""
    from headrace.cli.buckets import list_buckets

    run_on_servers(as_json, lambda terminal: list_buckets(terminal, connection))


@app.command()
def preview(connection: ConnectionName, goal: OnlyGoal = "", file: File = "", rows: Rows = 1000, as_json: Json = False) -> None:
    """Show what a goal would make of the first rows of a file, cell by cell, dates and times too; of an export the dates of a file that is there."""
    from headrace.cli.preview import show_preview

    run_on_servers(as_json, lambda terminal: show_preview(terminal, connection, goal, file, rows))


@app.command()
def detect(
    connection: ConnectionName,
    goal: OnlyGoal = "",
    file: File = "",
    prefix: Annotated[str | None, typer.Option(help="Put before the property names.", show_default="the goal's")] = None,
    rows: Rows = 1000,
    as_json: Json = False,
) -> None:
    """Print mappings for all columns of a file that a goal does not map yet, ready to paste; nothing is changed."""
    from headrace.cli.detect import show_detected

    run_on_servers(as_json, lambda terminal: show_detected(terminal, connection, goal, file, prefix, rows))


@app.command("dry-run")
def dry_run(connection: ConnectionName, goal: OnlyGoal = "", file: File = "", as_json: Json = False) -> None:
    """Play the whole import of a file over the real profiles, with every count and some profiles before and after; nothing is changed."""
    from headrace.cli.dry_run import show_dry_run

    run_on_servers(as_json, lambda terminal: show_dry_run(terminal, connection, goal, file))


@app.command()
def run(
    connection: ConnectionName,
    goal: GoalId = "",
    here: Annotated[bool, typer.Option("--here", help="In this process, without Prefect.")] = False,
    as_json: Json = False,
) -> None:
    """Import new and changed files, then write exports, and wait for the end: through Prefect where PREFECT_API_URL is set, else in this process."""
    from headrace.cli.run import run_connection, way_of_running

    run_on_servers(as_json, lambda terminal: run_connection(terminal, connection, goal, way_of_running(here)))


@app.command()
def runs(
    connection: Annotated[str, typer.Argument(help="Nothing: all connections.", show_default=False)] = "",
    most: Annotated[int, typer.Option(min=1, max=1000, help="How many, the latest first.")] = 20,
    run_id: Annotated[str, typer.Option("--id", metavar="ID", help="Show this run with its files.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """Show the history of runs."""
    from headrace.cli.runs import show_run, show_runs

    run_on_servers(as_json, lambda terminal: show_run(terminal, run_id) if run_id else show_runs(terminal, connection, most))


@app.command()
def schedule(
    connection: ConnectionName,
    most: Annotated[int, typer.Option(min=1, max=1000, help="How many starts.")] = 10,
    as_json: Json = False,
) -> None:
    """Show when a connection runs by itself next."""
    from headrace.cli.schedule import show_schedule

    run_on_servers(as_json, lambda terminal: show_schedule(terminal, connection, most))


@app.command()
def audit(
    since: Annotated[datetime | None, typer.Option(help="Nothing before it; UTC.", show_default=False)] = None,
    most: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the latest first.")] = 100,
    as_json: Json = False,
) -> None:
    """Show who did what, and when: configuration, erasures, recoveries, runs."""
    from headrace.cli.audit import show_audit

    run_on_servers(as_json, lambda terminal: show_audit(terminal, since, most))


@app.command()
def exchange(
    connection: Annotated[str, typer.Argument(help="Nothing: all connections.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """Show how many unique profiles each connection has imported, and exported; one that came again counts once."""
    from headrace.cli.exchange import show_exchange

    run_on_servers(as_json, lambda terminal: show_exchange(terminal, connection))


@app.command()
def worker(
    domains: Annotated[list[str] | None, typer.Argument(help="Nothing: all domains.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Log as JSON lines on stdout.")] = False,
) -> None:
    """Run a merge worker until SIGTERM or Ctrl-C, which let it finish what it holds."""
    from headrace.cli.worker import run_worker

    run_on_servers(as_json, lambda terminal: run_worker(terminal, tuple(domains or ())))


@app.command()
def api(as_json: Annotated[bool, typer.Option("--json", help="Log as JSON lines on stdout.")] = False) -> None:
    """Serve the HTTP API until SIGTERM or Ctrl-C, which let calls come to their end."""
    from headrace.cli.api import run_api

    run_on_servers(as_json, run_api)


@app.command()
def recover(
    domains: Annotated[list[str] | None, typer.Argument(metavar="DOMAIN", help="Nothing: all domains.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Import again what Redis lost, after it was restored from a backup or failed over; before anything else runs."""
    from headrace.cli.recover import recover_domains

    run_on_servers(as_json, lambda terminal: recover_domains(terminal, domains or []))


@rejects_app.command("list")
def rejects_list(connection: ConnectionName, goal: GoalId = "", as_json: Json = False) -> None:
    """Show the imports that rejected something, how much of it was replayed, and what is left."""
    from headrace.cli.rejects import list_rejects

    run_on_servers(as_json, lambda terminal: list_rejects(terminal, connection, goal))


@rejects_app.command("replay")
def rejects_replay(
    connection: ConnectionName,
    file: Annotated[str, typer.Argument(help="The corrected file: a path, s3://BUCKET/KEY, or a key.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Import the rows and cells of a corrected file of rejects, in this process. None is replayed twice, however often it is given."""
    from headrace.cli.rejects import replay_corrected

    run_on_servers(as_json, lambda terminal: replay_corrected(terminal, connection, file))


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

    _either(value, identifier)
    run_on_servers(as_json, lambda terminal: show_profile(terminal, domain, identifier, value))


@profile_app.command("erase")
def profile_erase(
    domain: Annotated[str, typer.Argument(show_default=False)],
    value: Annotated[str, typer.Argument(metavar="PROPERTY=VALUE", help="An identifier property and its value.", show_default=False)] = "",
    identifier: Annotated[
        str, typer.Option("--id", metavar="ID", help="The profile identifier: 32 hex characters.", show_default=False)
    ] = "",
    suppress: Annotated[bool, typer.Option("--suppress", help="For good: rows of later files with its identifiers are skipped.")] = False,
    as_json: Json = False,
) -> None:
    """Erase one profile and all that leads to it. Without --suppress a later file may make it anew."""
    from headrace.cli.erase import erase_profile

    _either(value, identifier)
    run_on_servers(as_json, lambda terminal: erase_profile(terminal, domain, identifier, value, suppress=suppress))


def _either(value: str, identifier: str) -> None:
    if bool(value) == bool(identifier):
        raise typer.BadParameter("give either --id ID or PROPERTY=VALUE")
    if value and "=" not in value:
        raise typer.BadParameter("write PROPERTY=VALUE, like customer_id=00001")
