"""The audit trail: who did what to this installation, and when (SPEC B6). Nothing in it says anything of a person in a profile.

What changes configuration or profiles beside imports is written here; runs and imports have their own history, which the trail is read together with.
That is kept for ever. Calls that change nothing, which clients make again and again, are kept apart, the latest of them.
"""

from __future__ import annotations

import getpass
import json
import socket
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from profile_store import keys, registry, runs
from profile_store.store import Store, text, translated


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """`at`: ISO 8601, UTC. `who`: user@host, or `prefect:<run id>`. `what`: a verb; `about`: of which object; `detail`: names and counts."""

    at: str
    who: str
    what: str
    about: str
    detail: dict[str, Any] = field(default_factory=dict)


def this_user() -> str:
    """Who runs this process."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        name = "unknown"
    return f"{name}@{socket.gethostname()}"


def note(store: Store, what: str, about: str, who: str = "", **detail: Any) -> None:
    """Written before what it tells of, so that nothing happens unseen. `who` empty: this process's user."""
    with translated("writing the audit trail"):
        store.client.xadd(keys.audit(), _fields(AuditEntry("", who or this_user(), what, about, detail)))


def note_read(store: Store, what: str, about: str, who: str, most: int, **detail: Any) -> None:
    """As `note`, of what changes nothing: about the latest `most` of such entries are kept."""
    with translated("writing the audit trail"):
        store.client.xadd(keys.audit_reads(), _fields(AuditEntry("", who, what, about, detail)), maxlen=most, approximate=True)


def read(store: Store, since: datetime | None = None, most: int = 1_000) -> list[AuditEntry]:
    """The latest entries, the newest first, runs among them. `since`: none before it; with a time zone."""
    first = "-" if since is None else str(int(since.timestamp() * 1_000))
    with translated("reading the audit trail"):
        found = [one for key in (keys.audit(), keys.audit_reads()) for one in store.client.xrevrange(key, "+", first, most)]
    found.sort(key=lambda one: _place(text(one[0])), reverse=True)
    noted = [_entry(text(number), json.loads(text(fields[b"entry"]))) for number, fields in found]
    every = [*noted, *_runs(store, since, most)]
    return sorted(every, key=lambda entry: entry.at, reverse=True)[:most]


def _fields(entry: AuditEntry) -> dict[Any, Any]:
    return {"entry": json.dumps({name: value for name, value in asdict(entry).items() if name != "at"}, sort_keys=True)}


def _place(number: str) -> tuple[int, int]:
    moment, _, count = number.partition("-")
    return int(moment), int(count)


def _entry(number: str, document: dict[str, Any]) -> AuditEntry:
    return AuditEntry(_moment(int(number.partition("-")[0]) / 1_000), **document)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _runs(store: Store, since: datetime | None, most: int) -> list[AuditEntry]:
    entries = []
    for connection in registry.connection_names(store):
        for run in runs.list_runs(store, connection, most):
            if since is None or datetime.fromisoformat(run.started) >= since:
                rows = sum(file.rows for file in run.files)
                detail = {"state": run.state, "files": len(run.files), "rows": rows, "ended": run.ended}
                entries.append(AuditEntry(run.started, f"run:{run.run_id}", "run", f"connection {connection}", detail))
    return entries
