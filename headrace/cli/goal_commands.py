"""`headrace goal …` and `headrace connection …`, as a person types them."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace.cli.command import ConnectionName, Json, run_on_servers

goal_app = typer.Typer(help="List and change the goals of a connection.", no_args_is_help=True)
connection_app = typer.Typer(help="List connections, switch them on and off.", no_args_is_help=True)

GoalName = Annotated[str, typer.Argument(metavar="GOAL", help="Id of one of its goals.", show_default=False)]
NewName = Annotated[str, typer.Argument(metavar="NAME", help="For people.", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="That is meant.")]


@goal_app.command("list")
def goal_list(connection: ConnectionName, as_json: Json = False) -> None:
    """Show a connection's goals, in the order they are run."""
    from headrace.cli.goal import list_goals

    run_on_servers(as_json, lambda terminal: list_goals(terminal, connection))


@goal_app.command("activate")
def goal_activate(connection: ConnectionName, goal: GoalName, as_json: Json = False) -> None:
    """Let runs take a goal in."""
    from headrace.cli.goal import activate

    run_on_servers(as_json, lambda terminal: activate(terminal, connection, goal))


@goal_app.command("deactivate")
def goal_deactivate(connection: ConnectionName, goal: GoalName, as_json: Json = False) -> None:
    """Leave a goal out of every run."""
    from headrace.cli.goal import deactivate

    run_on_servers(as_json, lambda terminal: deactivate(terminal, connection, goal))


@goal_app.command("rename")
def goal_rename(connection: ConnectionName, goal: GoalName, name: NewName, as_json: Json = False) -> None:
    """Give a goal another name; its id stays."""
    from headrace.cli.goal import rename

    run_on_servers(as_json, lambda terminal: rename(terminal, connection, goal, name))


@goal_app.command("copy")
def goal_copy(connection: ConnectionName, goal: GoalName, name: NewName, as_json: Json = False) -> None:
    """Make a goal like another, not active, which has imported nothing; its id is made of its name."""
    from headrace.cli.goal import copy

    run_on_servers(as_json, lambda terminal: copy(terminal, connection, goal, name))


@goal_app.command("delete")
def goal_delete(connection: ConnectionName, goal: GoalName, yes: Yes = False, as_json: Json = False) -> None:
    """Delete a goal with its ledger; profiles and history stay."""
    from headrace.cli.goal import delete_goal

    run_on_servers(as_json, lambda terminal: delete_goal(terminal, connection, goal, yes))


@connection_app.command("list")
def connection_list(as_json: Json = False) -> None:
    """Show all connections, favorites first."""
    from headrace.cli.goal import list_connections

    run_on_servers(as_json, list_connections)


@connection_app.command("on")
def connection_on(connection: ConnectionName, as_json: Json = False) -> None:
    """Switch a connection on."""
    from headrace.cli.goal import switch

    run_on_servers(as_json, lambda terminal: switch(terminal, connection, True))


@connection_app.command("off")
def connection_off(connection: ConnectionName, as_json: Json = False) -> None:
    """Switch a connection off: no run of it does anything, and its schedules rest."""
    from headrace.cli.goal import switch

    run_on_servers(as_json, lambda terminal: switch(terminal, connection, False))


@connection_app.command("delete")
def connection_delete(connection: ConnectionName, yes: Yes = False, as_json: Json = False) -> None:
    """Delete a connection with its goals and their ledgers; profiles and history stay."""
    from headrace.cli.goal import delete_connection

    run_on_servers(as_json, lambda terminal: delete_connection(terminal, connection, yes))
