"""What a connection's imports rejected, and what became of it since: counted against the first run of each row (SPEC B2, R1)."""

from __future__ import annotations

from dataclasses import dataclass

from profile_store import registry, replays
from profile_store.replays import RejectsNote, ReplayCounts
from profile_store.store import Store


@dataclass(frozen=True, slots=True)
class ImportRejects:
    """Of one import. `later`: the files of its replays' own rejects, in order."""

    domain: str
    import_seq: int
    note: RejectsNote
    counts: ReplayCounts
    later: tuple[str, ...]

    @property
    def left(self) -> int:
        """Rows and cells that nothing has come of yet."""
        return self.counts.left(self.note)


def rejects_of_connection(store: Store, connection: str, goal: str = "") -> list[ImportRejects]:
    """By domain and number; of all goals where `goal` is empty."""
    found = []
    for domain in registry.domain_names(store):
        notes = {number: note for number, note in replays.rejects_notes(store, domain).items() if note.connection == connection}
        for number, note in notes.items():
            if not note.of and goal in ("", note.goal):
                later = tuple(one.rejects_key for one in notes.values() if one.of == number)
                found.append(ImportRejects(domain, number, note, replays.replay_counts(store, domain, number), later))
    return found
