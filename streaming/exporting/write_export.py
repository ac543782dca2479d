"""An export from its begin to its file: read partition by partition, written in parts, visible whole or not at all (SPEC E1–E8, docs/adr/0020).

What must outlive a death of the run stands in the store before the file can be seen: see `profile_store.exports`.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from os import SEEK_END

from headrace.connections import Connection
from headrace.errors import HeadraceError, TransientError
from headrace.failpoints import step
from headrace.goals import ExportProfilesGoal
from object_store.store import CSV
from object_store.writer import ObjectWriter
from profile_store import exports, registry
from profile_store.exports import ExportNote
from profile_store.membership import count_members
from profile_store.segment_registry import read_segments
from streaming.exporting.close_export import OWNER, settle_export
from streaming.exporting.file_name import file_name
from streaming.exporting.format_members import header_line
from streaming.exporting.partition import ExportedPartition
from streaming.exporting.plan import ExportPlan, plan_export
from streaming.exporting.progress import ExportProgress
from streaming.exporting.read_ahead import export_partitions
from streaming.importing.context import ImportContext

GZIP = "application/gzip"
COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class WrittenExport:
    """A file that can be read now. Its profiles count as exported once `close_export` was called.

    `members`: of the segment; `available`: those with the required consent (SPEC E2); `exported`: lines. `left_out`: header → values that no cell can
    say, since they hold the multi-value separator (SPEC E9); their cells are empty.
    """

    export_id: str
    bucket: str
    key: str
    members: int
    available: int
    exported: int
    size: int
    left_out: dict[str, int] = field(default_factory=dict)


def write_export(context: ImportContext, connection: Connection, goal: ExportProfilesGoal) -> WrittenExport:
    """Raises TerminalError (NO_SUCH_SEGMENT, SEGMENT_NOT_READY, of S3…), TransientError: begin again. Then no file was written."""
    objects, place = context.objects_of(connection.name), goal.destination
    domain, export_id = registry.get_domain(context.store, goal.domain), exports.fresh_export_id()
    name = file_name(goal, export_id, datetime.now(UTC))
    segments = read_segments(context.store, domain.name)
    unbuilt = [one.name for one in segments.each() if one.live is None]
    plan = plan_export(goal, domain, connection.objectives, {one.name: one.id for one in segments.each()}, name, unbuilt)
    expected = count_members(context.store, domain.name, plan.partitions, plan.segment_ids[0])
    note = ExportNote(export_id, goal.id, place.bucket, place.directory + name)
    with step("note_export"):
        exports.note_export(context.store, domain.name, connection.name, note)
    found: list[ExportedPartition] = []
    try:
        content_type = GZIP if goal.format.compression == "gzip" else CSV
        with objects.open_write(note.bucket, note.key, content_type, {OWNER: note.export_id}) as out:
            with step("begin_export"):
                note = replace(note, upload_id=out.begin())
            exports.name_upload(context.store, domain.name, connection.name, note)
            lives = exports.begin_reading(context.store, domain.name, plan.partitions)
            found += _write(context, plan, out, expected)
            _check_unchanged(context, plan, segments.live)
            bits = {number: one.bits for number, one in enumerate(found)}
            with step("keep_exported"):
                exports.keep_exported(context.store, domain.name, connection.name, note.export_id, bits, lives)
            with step("finish_export"):
                out.finish()
    except BaseException as error:
        is_there = False
        with suppress(HeadraceError):  # else the connection's next run does it
            is_there = settle_export(context, domain.name, connection.name, note)
        if not (is_there and isinstance(error, TransientError)):  # no answer of S3 came, but the file did
            raise
    left_out = sum((one.left_out for one in found), start=Counter[str]())
    return WrittenExport(
        note.export_id,
        note.bucket,
        note.key,
        sum(one.members for one in found),
        sum(one.available for one in found),
        sum(one.exported for one in found),
        out.size,
        dict(left_out),
    )


def _check_unchanged(context: ImportContext, plan: ExportPlan, live: Mapping[int, int]) -> None:
    """Partitions that were read before and after a segment was swapped would have the members of different definitions (SPEC S5). `live`: as it was."""
    now = read_segments(context.store, plan.domain).live
    if any(now.get(one) != live.get(one) for one in plan.segment_ids):
        raise TransientError(f"The segments of domain {plan.domain} changed while they were exported.", code="SEGMENTS_MOVED")


def _write(context: ImportContext, plan: ExportPlan, out: ObjectWriter, expected: int) -> list[ExportedPartition]:
    packed = zlib.compressobj(wbits=31) if plan.format.compression == "gzip" else None

    def put(data: bytes) -> None:
        out.write(data if packed is None else packed.compress(data))

    found: list[ExportedPartition] = []
    progress, members = ExportProgress(context.report, plan.partitions, expected), 0
    put(header_line(plan).encode())
    with closing(export_partitions(context.store, plan, progress)) as partitions:
        for one, lines in partitions:
            size = lines.seek(0, SEEK_END)
            lines.seek(0)
            while data := lines.read(COPY_BYTES):
                put(data)
                progress.wrote(members + one.members * lines.tell() // size)
                progress.tell()
            found.append(one)
            members += one.members
            progress.wrote(members)  # also those that have no line
            progress.tell()
    if packed is not None:
        out.write(packed.flush())
    return found
