"""`headrace rejects`: what imports rejected, and the replay of what was corrected (SPEC B2)."""

from __future__ import annotations

import io
import uuid
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.cli.progress import progress_bar
from headrace.cli.servers import opened, opened_store
from headrace.cli.terminal import Terminal, plain, table
from profile_store import registry
from profile_store.reject_history import ImportRejects, rejects_of_connection
from profile_store.runs import RunRecord, now
from tasks.replay_report import COUNTS, ReplayedPart, ReplayReport, headline

if TYPE_CHECKING:
    from headrace.connections import Connection
    from streaming.importing.context import ImportContext, Progress


def list_rejects(terminal: Terminal, connection: str, goal: str) -> bool:
    with opened_store() as store:
        found = rejects_of_connection(store, registry.get_connection(store, connection).name, goal)
    terminal.document({"connection": connection, "imports": [_listed(one) for one in found]})
    if not found:
        terminal.say("nothing was rejected")
        return True
    header = ("import", "goal", "file", "rows", "cells", "replayed", "erased", "left")
    terminal.show(table(header, [_row(one) for one in found], numbers=("import", "rows", "cells", "replayed", "erased", "left")))
    for one in found:
        if one.left:
            terminal.say(f"import {one.import_seq}: s3://{one.note.bucket}/{one.note.rejects_key}")
            for key in one.later:
                terminal.say(f"  rejected again: s3://{one.note.bucket}/{key}")
    return True


def _listed(one: ImportRejects) -> dict[str, Any]:
    return {
        "domain": one.domain,
        "import_seq": one.import_seq,
        **{name: value for name, value in asdict(one.note).items() if name not in ("connection", "of")},
        "replayed": one.counts.replayed,
        "rejected_again": one.counts.again,
        "erased": one.counts.erased,
        "left": one.left,
        "later_rejects_keys": one.later,
    }


def _row(one: ImportRejects) -> tuple[str, ...]:
    counts = (one.note.rows, one.note.cells, one.counts.replayed, one.counts.erased, one.left)
    return str(one.import_seq), one.note.goal, plain(one.note.key), *(f"{count:,}" for count in counts)


def replay_corrected(terminal: Terminal, connection: str, file: str) -> bool:
    """Whether every line was replayed, by now or before."""
    from tasks.replay import replay_file

    run = RunRecord(uuid.uuid4().hex, connection, "", started=now())
    with opened() as context, progress_bar(terminal) as draw:

        def shown(progress: Progress) -> None:
            percent = min(100.0 * progress.done / progress.total, 100.0) if progress.total else None
            draw(percent, f"replaying: {progress.phase} {progress.detail}")

        report = replay_file(replace(context, report=shown), run, file, lambda found: _opened(context, found, file))
    terminal.document(_document(report))
    terminal.say(headline(report), style="bold" if report.succeeded else "bold red")
    for part in report.parts:
        _show_part(terminal, part)
    if report.problems:
        rows = [(f"{one.line:,}", plain(one.column), one.code, one.message) for one in report.problems]
        terminal.show(table(("line", "column", "code", "why it is left"), rows, numbers=("line",)))
    return report.succeeded and not report.again and not report.left


def _opened(context: ImportContext, connection: Connection, file: str) -> io.RawIOBase:
    """A file of this machine, else an object."""
    from object_store.compression import decompressed
    from streaming.importing.corrected_place import open_corrected

    path = Path(file)
    if not file.startswith("s3://") and path.is_file():
        return decompressed(io.FileIO(path), file)
    return open_corrected(context, connection, file)


def _show_part(terminal: Terminal, part: ReplayedPart) -> None:
    counts = ", ".join(f"{getattr(part.outcomes, name):,} {name}" for name in COUNTS)
    terminal.say(
        f"  import {part.import_seq}, {part.outcomes.rows:,} {'rows' if part.of_rows else 'cells'}: {counts}, {part.again:,} rejected"
    )
    if part.rejects_key:
        terminal.say(f"    rejected again: s3://{part.bucket}/{part.rejects_key}", style="yellow")


def _document(report: ReplayReport) -> dict[str, Any]:
    counts = {name: getattr(report, name) for name in ("lines", "replayed", "again", "repeated", "left", "succeeded")}
    return {**asdict(report), **counts, "parts": [asdict(part) | {"again": part.again} for part in report.parts]}
