"""Which files a goal has imported (SPEC I10). The ledger belongs to the goal's id: a rename keeps it, a copy starts with none."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from profile_store import keys
from profile_store.store import Store, text, translated


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """The last import of one file. `file`, `configuration`: the identities it had; `ended_at`: ISO 8601, UTC."""

    file: str
    configuration: str
    import_seq: int
    state: Literal["COMPLETE", "FAILED"]
    ended_at: str
    rows: int
    reason: str = ""


def field_of(bucket: str, key: str) -> str:
    return f"{bucket}/{key}"


def read_ledger(store: Store, domain: str, connection: str, goal: str) -> dict[str, LedgerEntry]:
    """`bucket/key` → its entry."""
    with translated("reading the ledger"):
        found = store.client.hgetall(keys.ledger(domain, connection, goal))
    return {text(name): LedgerEntry(**json.loads(text(value))) for name, value in found.items()}


def write_entry(store: Store, domain: str, connection: str, goal: str, place: tuple[str, str], entry: LedgerEntry) -> None:
    """Note a file (bucket, key). Repeating it is harmless: an entry of a later import stays, and so does a complete one of the same."""
    document = json.dumps(asdict(entry), sort_keys=True)
    store.run_script("note_file", [keys.ledger(domain, connection, goal)], [field_of(*place), document])


def entry_of(entries: dict[str, LedgerEntry], bucket: str, key: str) -> LedgerEntry | None:
    return entries.get(field_of(bucket, key))
