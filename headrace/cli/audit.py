"""`headrace audit`: who did what, and when (SPEC B6)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

from headrace.cli.servers import opened_store
from headrace.cli.terminal import Terminal, table
from profile_store import audit


def show_audit(terminal: Terminal, since: datetime | None, most: int) -> bool:
    """`since` without a time zone is UTC."""
    moment = since.replace(tzinfo=since.tzinfo or UTC) if since is not None else None
    with opened_store() as store:
        entries = audit.read(store, moment, most)
    terminal.document({"entries": [asdict(one) for one in entries]})
    if not entries:
        terminal.say("nothing has happened yet" if since is None else "nothing has happened since")
        return True
    rows = [(one.at[:19].replace("T", " "), one.who, one.what, one.about, _detail(one)) for one in entries]
    terminal.show(table(("at (UTC)", "who", "what", "about", "detail"), rows))
    return True


def _detail(entry: audit.AuditEntry) -> str:
    return ", ".join(f"{name}: {value}" for name, value in entry.detail.items())
