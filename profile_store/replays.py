"""Which rejects of an import were replayed: each at most once with success (SPEC B2).

Rejects that go with an erased profile are taken by its erasure, as by a replay (SPEC P2).

A mark is a field `<byte offset>`, or `<byte offset>:<cell>`, of the import whose reject it is. It holds the number of the replay that took it, negative once
that has rejected it again. Marks change in the turn of that replay alone, and imports of a domain have their turns one after the other. So whoever drives
a replay, however often, takes the same rejects; and no two replays take the same one. Nothing else has to be atomic with it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from profile_store import keys
from profile_store.durability import read_durable, write_lost
from profile_store.sequence import domain_floor, load
from profile_store.store import Store, text, translated

MARKS_AT_ONCE = 1_000
"""In one call, so that no script blocks Redis for long."""


@dataclass(frozen=True, slots=True)
class RejectsNote:
    """An import that rejected something: whose it was, its file, and the object that holds the rejects. `rows`, `cells`: its lines.

    `of`: of a replay, the import whose rejects it replayed; else 0.
    """

    connection: str
    goal: str
    bucket: str
    key: str
    rejects_key: str
    rows: int
    cells: int
    of: int = 0


@dataclass(frozen=True, slots=True)
class ReplayCounts:
    """`replayed`: rejects that were replayed and not rejected again; `again`: those that were; `fresh`: cells rejected of rows that were replayed,
    which are no lines of the import's own file of rejects; `erased`: those that went with their profile."""

    replayed: int = 0
    again: int = 0
    fresh: int = 0
    erased: int = 0

    def left(self, note: RejectsNote) -> int:
        """Rejects that nothing has come of yet."""
        return note.rows + note.cells + self.fresh - self.replayed - self.erased


def note_rejects(store: Store, domain: str, import_seq: int, note: RejectsNote) -> None:
    """Durable before it returns. Repeatable. Raises TransientError."""
    document = json.dumps(asdict(note), sort_keys=True)
    with translated("noting rejects"):
        store.client.hset(keys.rejected(domain), str(import_seq), document)
    found = read_durable(store, keys.mark(domain), lambda node: node.hget(keys.rejected(domain), str(import_seq)))
    if found is None:
        raise write_lost(f"the rejects of import {import_seq} of domain {domain}")


def rejects_notes(store: Store, domain: str) -> dict[int, RejectsNote]:
    """Every import of the domain that rejected something, by its number, in order."""
    with translated("reading what imports rejected"):
        found = store.client.hgetall(keys.rejected(domain))
    return {
        number: RejectsNote(**json.loads(value))
        for number, value in sorted((int(text(name)), text(value)) for name, value in found.items())
    }


def are_replayed(store: Store, domain: str, import_seq: int, marks: Sequence[str]) -> list[bool]:
    """Whether each reject was taken by a replay that is over, and not rejected again there."""
    if not marks:
        return []
    floor = domain_floor(store, domain)
    with translated("reading what was replayed"):
        found: Any = store.client.hmget(keys.replayed(domain, import_seq), list(marks))
    return [value is not None and 0 < int(value) <= floor for value in found]


def take(store: Store, domain: str, of: int, by: int, marks: Sequence[str]) -> list[bool] | None:
    """Take rejects of import `of` for its replay `by`: which of them are its own. None where that replay is over.

    Durable before it returns. Repeatable: it takes the same ones. Raises TransientError, also where Redis came back without it.
    """
    key = keys.replayed(domain, of)
    if not store.run_script("take_rejects", [keys.floor(domain), key], [by, *marks]):
        return None
    found: Any = read_durable(store, keys.mark(domain), lambda node: node.hmget(key, list(marks)))
    held = [-1 if value is None else int(value) for value in found]
    if any(value < 0 and value != -by for value in held):  # nobody else may have taken them since
        raise write_lost(f"rejects that import {by} of domain {domain} replays")
    return [abs(value) == by for value in held]


def give_back(store: Store, domain: str, of: int, by: int, marks: Sequence[str]) -> bool:
    """Rejects that the replay `by` has rejected again may be taken by the next. False where it is over. As durable, and as repeatable, as `take`."""
    key = keys.replayed(domain, of)
    if not store.run_script("give_back_rejects", [keys.floor(domain), key], [by, *marks]):
        return False
    found: Any = read_durable(store, keys.mark(domain), lambda node: node.hmget(key, list(marks)))
    if any(value is None or int(value) == by for value in found):
        raise write_lost(f"rejects that import {by} of domain {domain} rejected again")
    return True


def replay_counts(store: Store, domain: str, import_seq: int) -> ReplayCounts:
    """Of replays, and erasures, that are over."""
    taken, again = Counter[int](), 0
    rows, of_cells = set[bytes](), list[bytes]()
    floor = domain_floor(store, domain)
    with translated("reading what was replayed"):
        for mark, value in store.client.hscan_iter(keys.replayed(domain, import_seq), count=MARKS_AT_ONCE):
            taker = int(value)
            if 0 < taker <= floor:
                taken[taker] += 1
            again += taker < 0
            offset, _, cell = mark.partition(b":")
            if cell:
                of_cells.append(offset)
            else:
                rows.add(offset)
    erased = sum(count for taker, count in taken.items() if (found := load(store, domain, taker)) and found.kind == "erase")
    return ReplayCounts(taken.total() - erased, again, sum(offset in rows for offset in of_cells), erased)
