"""Which files a goal means, and what is to be done about each (SPEC I3, I4, I10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from headrace.configuration_identity import configuration_identity
from headrace.connections import Connection
from headrace.errors import TerminalError
from headrace.file_selection import select_files
from object_store.store import ObjectStore
from object_store.versions import ObjectVersion
from profile_store import ledger, registry
from profile_store.ledger import LedgerEntry
from profile_store.registration import Source
from profile_store.registry import StoredDomain
from streaming.importing.context import ImportContext
from streaming.importing.plan import AnyImportGoal, domain_of, judged_objectives

FileStatus = Literal["new", "changed", "imported", "failed", "damaged", "skipped"]
WANTED = ("new", "changed", "failed")
"""What a run imports."""


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """A matching file. `new`, `changed` and `failed` ones are imported by a run, in this order; `reason` says why, in words."""

    version: ObjectVersion
    status: FileStatus
    reason: str

    @property
    def wanted(self) -> bool:
        return self.status in WANTED


def scan_goal(context: ImportContext, connection: Connection, goal: AnyImportGoal) -> list[ScannedFile]:
    """The goal's files in the order they are imported. Changes nothing."""
    domain = registry.get_domain(context.store, domain_of(goal))
    entries = ledger.read_ledger(context.store, domain.name, connection.name, goal.id)
    objects = context.objects_of(connection.name)
    configuration = identity_of(connection, goal, domain)
    found = []
    source = goal.source
    for listed in objects.list_selected(source.bucket, select_files(directory=source.directory, files=source.files, regex=source.regex)):
        entry = ledger.entry_of(entries, listed.bucket, listed.key)
        version = listed if entry is None else _present(objects, listed)
        if version is None:
            continue
        status, reason = judge(goal, entry, source_of(version).identity, configuration)
        found.append(ScannedFile(version, status, reason))
    return found


def _present(objects: ObjectStore, listed: ObjectVersion) -> ObjectVersion | None:
    """The file with its version; None where it was deleted since it was listed, which must not keep the others from being found."""
    try:
        return objects.head(listed.bucket, listed.key)
    except TerminalError as error:
        if error.code != "NO_SUCH_OBJECT":
            raise
        return None


def identity_of(connection: Connection, goal: AnyImportGoal, domain: StoredDomain) -> str:
    """The configuration's identity (SPEC I10)."""
    return configuration_identity(goal, domain.schema, judged_objectives(goal, connection.objectives))


def source_of(version: ObjectVersion) -> Source:
    return Source(version.bucket, version.key, version.version_id, version.etag, version.size, version.last_modified.isoformat())


def _damaged(entry: LedgerEntry) -> bool:
    """Whether the same bytes would fail again behind rows that were applied before."""
    return entry.rows > 0 and entry.reason.partition(":")[0] in ("TRUNCATED", "CORRUPT")


def judge(goal: AnyImportGoal, entry: LedgerEntry | None, file: str, configuration: str) -> tuple[FileStatus, str]:
    """What is to be done about a file of that identity, whose last import `entry` tells; and why, in words."""
    if entry is None:
        return "new", "not imported before"
    if entry.state == "FAILED" and entry.file == file and entry.configuration == configuration and _damaged(entry):
        said = f"import {entry.import_seq} failed at {entry.ended_at} with {entry.rows} rows applied: {entry.reason}"
        return "damaged", f"{said} Reading it again would apply them again: replace the file."
    if entry.state == "FAILED":
        return "failed", f"import {entry.import_seq} failed at {entry.ended_at}: {entry.reason}"
    if entry.file != file:
        return "changed", f"the file changed since import {entry.import_seq} at {entry.ended_at}"
    if entry.configuration != configuration:
        if goal.on_change == "skip":
            return "skipped", f"imported at {entry.ended_at} under another configuration; on_change: skip leaves it alone"
        return "changed", f"the goal's configuration changed since import {entry.import_seq} at {entry.ended_at}"
    return "imported", f"import {entry.import_seq} at {entry.ended_at}: {entry.rows} rows; neither file nor configuration changed since"
