"""Exports that go on, and what each has exported: kept until it is certain whether its file can be read (SPEC E4, R3, docs/adr/0020).

An export is noted before its file is begun. Before the file becomes visible, the numbers of its profiles are on disk here; once it is visible they count
as exported by the connection. Whoever finds the note of an export whose run died looks whether the file is there, and counts the numbers or drops them.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from profile_store import keys
from profile_store.durability import barrier, partition_marks, read_durable, read_lives, write_lost
from profile_store.each_partition import ask_each
from profile_store.store import Store, text, translated

NOTE_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ExportNote:
    """An export whose end is not known yet. `upload_id`: of the upload that its file is made by, empty where it may not have been begun."""

    export_id: str
    goal: str
    bucket: str
    key: str
    upload_id: str = ""


def fresh_export_id() -> str:
    return secrets.token_hex(8)


def note_export(store: Store, domain: str, connection: str, note: ExportNote) -> None:
    """Before its upload is begun. On disk when it returns, so that no upload is forgotten whatever is lost; raises TransientError where it is not."""
    name_upload(store, domain, connection, note)
    key = keys.exports(domain, connection)
    if not read_durable(store, keys.mark(domain), lambda node: node.hexists(key, note.export_id)):
        raise write_lost("an export")


def name_upload(store: Store, domain: str, connection: str, note: ExportNote) -> None:
    """The note with the id of its upload. Should it be lost, the one without remains, by which all uploads to the key are aborted."""
    document = json.dumps({"format": NOTE_FORMAT, **asdict(note)}, sort_keys=True)
    with translated("noting an export"):
        store.client.hset(keys.exports(domain, connection), note.export_id, document)


def open_exports(store: Store, domain: str, connection: str) -> list[ExportNote]:
    with translated("reading the notes of exports"):
        found = store.client.hvals(keys.exports(domain, connection))
    return [_note(json.loads(text(one))) for one in found]


def _note(document: dict[str, Any]) -> ExportNote:
    document.pop("format")
    return ExportNote(**document)


def forget_export(store: Store, domain: str, connection: str, export_id: str) -> None:
    """Its end is known."""
    with translated("forgetting the note of an export"):
        store.client.hdel(keys.exports(domain, connection), export_id)


def begin_reading(store: Store, domain: str, partitions: int) -> frozenset[str]:
    """For `keep_exported`, before the first partition is read."""
    return read_lives(store, partition_marks(domain, range(partitions)))


def keep_exported(store: Store, domain: str, connection: str, export_id: str, bits: Mapping[int, bytes], lives: frozenset[str]) -> None:
    """`bits`: of every partition, by profile number. They, the export's note, and all that was read since `begin_reading` gave `lives` are on disk when
    it returns; raises TransientError where they are not: profiles that Redis has lost may come again under other numbers."""
    for partition, some in bits.items():
        key = keys.exporting(domain, partition, export_id)
        with store.on_node_of(key, "keeping what is exported") as node:
            node.set(key, some or b"\0")
    barrier(store, [keys.mark(domain), *partition_marks(domain, bits)])
    with translated("reading the notes of exports"):
        is_noted = store.client.hexists(keys.exports(domain, connection), export_id)
    if not (is_noted and all(_kept(store, domain, export_id, bits).values())):
        raise write_lost("an export")
    if read_lives(store, partition_marks(domain, bits)) != lives:
        raise write_lost("the profiles that an export has read")


def count_exported(store: Store, domain: str, partitions: int, connection: str, export_id: str) -> None:
    """What was kept counts as exported by the connection. On disk before it returns; again changes nothing."""
    for partition in range(partitions):
        store.run_script("count_exported", [keys.exported(domain, partition, connection), keys.exporting(domain, partition, export_id)], [])
    barrier(store, partition_marks(domain, range(partitions)))
    if any(_kept(store, domain, export_id, range(partitions)).values()):
        raise write_lost("an export")


def drop_exported(store: Store, domain: str, partitions: int, export_id: str) -> None:
    """Nobody has got what was kept. On disk before it returns, as the note that tells of it may be forgotten then; again changes nothing."""
    for partition in range(partitions):
        key = keys.exporting(domain, partition, export_id)
        with store.on_node_of(key, "dropping what was not exported") as node:
            node.unlink(key)
    barrier(store, partition_marks(domain, range(partitions)))
    if any(_kept(store, domain, export_id, range(partitions)).values()):
        raise write_lost("an export")


def _kept(store: Store, domain: str, export_id: str, partitions: Iterable[int]) -> dict[int, bool]:
    """Partition → whether it is there."""

    def ask(pipe: Any, partition: int) -> None:
        pipe.exists(keys.exporting(domain, partition, export_id))

    return {partition: bool(there) for partition, [there] in ask_each(store, domain, partitions, ask).items()}
