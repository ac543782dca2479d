"""Which files a goal has imported (SPEC I10). The ledger belongs to the goal's id: a rename keeps it, a copy starts with none.

An entry is written by the end of its import (`sequence.end`).
"""

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

    def as_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


def field_of(bucket: str, key: str) -> str:
    return f"{bucket}/{key}"


def read_ledger(store: Store, domain: str, connection: str, goal: str) -> dict[str, LedgerEntry]:
    """`bucket/key` → its entry."""
    with translated("reading the ledger"):
        found = store.client.hgetall(keys.ledger(domain, connection, goal))
    return {text(name): LedgerEntry(**json.loads(text(value))) for name, value in found.items()}


def read_entry(store: Store, domain: str, connection: str, goal: str, file: tuple[str, str]) -> LedgerEntry | None:
    """Of one file: (bucket, key)."""
    with translated("reading the ledger"):
        found = store.client.hget(keys.ledger(domain, connection, goal), field_of(*file))
    return None if found is None else LedgerEntry(**json.loads(text(found)))


def drop_ledger(store: Store, domain: str, connection: str, goal: str) -> None:
    with translated("dropping a ledger"):
        store.client.delete(keys.ledger(domain, connection, goal))


def entry_of(entries: dict[str, LedgerEntry], bucket: str, key: str) -> LedgerEntry | None:
    return entries.get(field_of(bucket, key))
