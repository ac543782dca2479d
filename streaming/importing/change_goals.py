"""Everyday changes of what is stored, without a file: goals and the switch of a connection (SPEC C3, C4).

A file that is applied later wins: its plan shows what it would change back.
"""

from __future__ import annotations

from headrace import goal_edits
from headrace.connection_checks import domain_name
from headrace.connections import Connection
from profile_store import audit, ledger, registry
from profile_store.store import Store
from streaming.importing.apply import forget_goal


def switch_connection(store: Store, name: str, *, enabled: bool) -> Connection:
    registry.get_connection(store, name)
    audit.note(store, "connection on" if enabled else "connection off", f"connection {name}")
    return registry.change_connection(store, name, lambda found: goal_edits.switched(found, enabled=enabled))


def set_activity(store: Store, name: str, goal: str, *, active: bool) -> Connection:
    _note(store, "activate" if active else "deactivate", name, goal)
    return registry.change_connection(store, name, lambda found: goal_edits.with_activity(found, goal, active=active))


def rename_goal(store: Store, name: str, goal: str, title: str) -> Connection:
    """The id stays, and with it ledger and history. Raises TerminalError, also of what can't be a name, before the change is in the audit trail."""
    goal_edits.with_name(registry.get_connection(store, name), goal, title)
    _note(store, "rename", name, goal)
    return registry.change_connection(store, name, lambda found: goal_edits.with_name(found, goal, title))


def copy_goal(store: Store, name: str, goal: str, title: str) -> tuple[Connection, str]:
    """And the id of the copy, which is not active and has no ledger."""
    _, copy = goal_edits.with_copy(registry.get_connection(store, name), goal, title)
    _note(store, "copy", name, goal)
    ledger.drop_ledger(store, domain_name(copy), name, copy.id)
    return registry.change_connection(store, name, lambda found: goal_edits.with_copy(found, goal, title)[0]), copy.id


def delete_goal(store: Store, name: str, goal: str) -> Connection:
    """Its ledger goes with it."""
    _, gone = goal_edits.without_goal(registry.get_connection(store, name), goal)
    _note(store, "delete", name, goal)
    left = registry.change_connection(store, name, lambda found: goal_edits.without_goal(found, goal)[0])
    forget_goal(store, name, gone)
    return left


def delete_connection(store: Store, name: str) -> None:
    """With the ledgers of its goals. Profiles, rejects and run history stay."""
    found = registry.get_connection(store, name)
    audit.note(store, "delete", f"connection {name}")
    registry.delete_connection(store, name)
    for goal in found.goals:
        forget_goal(store, name, goal)


def _note(store: Store, what: str, connection: str, goal: str) -> None:
    """Before the change, and only of goals that there are."""
    goal_edits.existing_goal(registry.get_connection(store, connection), goal)
    audit.note(store, f"{what} goal", f"connection {connection}", goal=goal)
