"""Copies of objects that imports may have made, noted before they are made (SPEC I12).

A copy belongs to the import that is registered for the same work, and goes with it. Between the two a run may die, and the file be replaced: then
nobody registers that work any more, and the note tells where its copy lies.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from profile_store import keys
from profile_store.sequence import pin_owner
from profile_store.store import Store, text, translated

PIN_FORMAT = 1


@dataclass(frozen=True, slots=True)
class PinNote:
    """`identity`: of the work; `bucket`, `key`: of the object that is copied for it."""

    identity: str
    bucket: str
    key: str

    @property
    def owner(self) -> str:
        """As the copy's key has it."""
        return pin_owner(self.identity)


def note_pin(store: Store, domain: str, connection: str, note: PinNote) -> None:
    """Again changes nothing. Not waited for: where Redis loses it in its last second, with the run that wrote it, the copy stays."""
    document = json.dumps({"format": PIN_FORMAT, **asdict(note)}, sort_keys=True)
    with translated("noting a pinned copy"):
        store.client.hset(keys.pins(domain, connection), note.owner, document)


def forget_pin(store: Store, domain: str, connection: str, identity: str) -> None:
    """There is no copy any more."""
    with translated("forgetting a pinned copy"):
        store.client.hdel(keys.pins(domain, connection), pin_owner(identity))


def pins_of_nobody(store: Store, domain: str, connection: str) -> list[PinNote]:
    """Of a connection none of whose runs is about to register anything: the copies that no open import has."""
    with translated("reading the notes of pinned copies"):
        noted: dict[Any, Any] = store.client.hgetall(keys.pins(domain, connection))
        notes = [_note(json.loads(text(one))) for one in noted.values()]
        is_open = store.client.hmget(keys.open_imports(domain), [one.identity for one in notes]) if notes else []
    return [one for one, number in zip(notes, is_open, strict=True) if number is None]


def _note(document: dict[str, Any]) -> PinNote:
    document.pop("format")
    return PinNote(**document)
