"""`headrace exchange`: how many unique profiles connections have imported and exported (SPEC R3)."""

from __future__ import annotations

from dataclasses import asdict

from headrace.cli.servers import opened_store
from headrace.cli.terminal import Terminal, table
from profile_store import registry
from profile_store.exchange import read_exchange


def show_exchange(terminal: Terminal, connection: str) -> bool:
    with opened_store() as store:
        names = [registry.get_connection(store, connection).name] if connection else registry.connection_names(store)
        found = read_exchange(store, names)
    terminal.document({"exchange": [asdict(one) for one in found]})
    if not found:
        terminal.say("nothing was imported or exported yet")
        return True
    rows = [(one.connection, one.domain, f"{one.imported:,}", f"{one.exported:,}") for one in found]
    counts = ("unique profiles imported", "exported")
    terminal.show(table(("connection", "domain", *counts), rows, numbers=counts))
    return True
