"""`headrace goal …` and `headrace connection …`: everyday changes without a file (SPEC C3, C4). A file that is applied later wins."""

from __future__ import annotations

import os
from collections.abc import Callable

from headrace.cli.servers import opened_store
from headrace.cli.terminal import Terminal, table
from headrace.connection_checks import domain_name
from headrace.connections import Connection
from headrace.errors import TerminalError
from profile_store import registry
from profile_store.store import Store
from streaming.importing import change_goals

LATER = (
    "its file says otherwise, perhaps: who applies it later makes it as it says there; `headrace apply --plan` shows what that would change"
)


def list_goals(terminal: Terminal, connection: str) -> bool:
    with opened_store() as store:
        found = registry.get_connection(store, connection)
    rows = [(goal.id, goal.name, goal.kind, domain_name(goal), "active" if goal.active else "not active") for goal in found.goals]
    header = ("id", "name", "kind", "domain", "active")
    terminal.document({"connection": connection, "enabled": found.enabled, "goals": [dict(zip(header, row, strict=True)) for row in rows]})
    if not found.enabled:
        terminal.say(f"connection {connection} is off")
    terminal.show(table(header, rows))
    return True


def list_connections(terminal: Terminal) -> bool:
    """Favorites first."""
    with opened_store() as store:
        found = [registry.get_connection(store, name) for name in registry.connection_names(store)]
    found.sort(key=lambda one: (not one.favorite, one.name))
    terminal.document(
        {"connections": [{"name": one.name, "enabled": one.enabled, "goals": [goal.id for goal in one.goals]} for one in found]}
    )
    rows = [("★" if one.favorite else "", one.name, "on" if one.enabled else "off", str(len(one.goals)), one.description) for one in found]
    terminal.show(table(("", "connection", "", "goals", "description"), rows, numbers=("goals",)))
    return True


def activate(terminal: Terminal, connection: str, goal: str) -> bool:
    return _change(terminal, lambda store: change_goals.set_activity(store, connection, goal, active=True), f"goal {goal} is active")


def deactivate(terminal: Terminal, connection: str, goal: str) -> bool:
    return _change(
        terminal, lambda store: change_goals.set_activity(store, connection, goal, active=False), f"goal {goal} is not active any more"
    )


def rename(terminal: Terminal, connection: str, goal: str, name: str) -> bool:
    said = f"goal {goal} is called {name}; its id stays, and with it what it has imported"
    return _change(terminal, lambda store: change_goals.rename_goal(store, connection, goal, name), said)


def copy(terminal: Terminal, connection: str, goal: str, name: str) -> bool:
    with opened_store() as store:
        changed, made = change_goals.copy_goal(store, connection, goal, name)
    return _told(terminal, changed, f"goal {made} is a copy of {goal}, not active yet, and has imported nothing")


def delete_goal(terminal: Terminal, connection: str, goal: str, sure: bool) -> bool:
    _refuse_unless(sure, f"Goal {goal} would be deleted with its ledger: a goal of that id would import all its files anew.")
    return _change(terminal, lambda store: change_goals.delete_goal(store, connection, goal), f"goal {goal} is deleted, with its ledger")


def switch(terminal: Terminal, connection: str, enabled: bool) -> bool:
    said = f"connection {connection} is on" if enabled else f"connection {connection} is off: it runs no more until it is switched on"
    return _change(terminal, lambda store: change_goals.switch_connection(store, connection, enabled=enabled), said)


def delete_connection(terminal: Terminal, connection: str, sure: bool) -> bool:
    _refuse_unless(sure, f"Connection {connection} would be deleted with the ledgers of its goals.")
    with opened_store() as store:
        change_goals.delete_connection(store, connection)
    if os.environ.get("PREFECT_API_URL"):
        from deployments.started_runs import undeploy

        undeploy(connection)
    terminal.document({"connection": connection, "deleted": True})
    terminal.say(f"connection {connection} is deleted; profiles and run history stay", style="green")
    return True


def _refuse_unless(sure: bool, what: str) -> None:
    if not sure:
        raise TerminalError(f"{what} Nothing was changed.", code="NOT_CONFIRMED", hint="Add --yes if that is meant.")


def _change(terminal: Terminal, change: Callable[[Store], Connection], said: str) -> bool:
    with opened_store() as store:
        changed = change(store)
    return _told(terminal, changed, said)


def _told(terminal: Terminal, changed: Connection, said: str) -> bool:
    """In Prefect too, where there is one: forms list goals, and a connection that is off has no ticks."""
    deployments: list[str] = []
    if os.environ.get("PREFECT_API_URL"):
        from deployments.started_runs import deploy

        deployments = deploy([changed])
    goals = [{"id": goal.id, "name": goal.name, "active": goal.active} for goal in changed.goals]
    terminal.document({"connection": changed.name, "enabled": changed.enabled, "goals": goals, "deployments": deployments})
    terminal.say(said, style="green")
    terminal.note(LATER)
    return True
