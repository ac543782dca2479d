"""What a run did, for people: outcomes by file, what was left alone and why, the first rejects."""

from __future__ import annotations

import csv
import io
from itertools import islice
from typing import Any

from headrace.cli.terminal import Terminal, table
from headrace.errors import HeadraceError
from headrace.outcomes import Outcomes
from profile_store.runs import EXPORT, RunFile, RunRecord
from streaming.importing.context import ImportContext

SHOWN = 20
"""Rejects of a file; the rejects file has all."""
FIELDS = {name: f"_headrace_{name}" for name in ("line", "column", "code", "message")}
"""Of a reject, as shown; never what the row held: that may be personal data."""
COUNTS = ("created", "updated", "unchanged", "skipped", "rejected")


def rejects_of(context: ImportContext, record: RunRecord) -> dict[str, list[dict[str, Any]]]:
    """The first rejects of each file, by the key of its rejects file. Empty where that can't be read: the run is over all the same."""
    found = {}
    for file in record.files:
        if file.rejects_key:
            try:
                found[file.rejects_key] = _first_rejects(context, record.connection, file.bucket, file.rejects_key)
            except HeadraceError:
                found[file.rejects_key] = []
    return found


def _first_rejects(context: ImportContext, connection: str, bucket: str, key: str) -> list[dict[str, Any]]:
    objects = context.objects_of(connection)
    stream = io.BufferedReader(objects.open(objects.head(bucket, key)))
    # The file has its source's separator: it stands behind the first column's name.
    beginning = stream.peek(64)[:64].decode("utf-8-sig", "ignore")
    separator = beginning.removeprefix("_headrace_reject")[:1] or ","
    with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        rows = csv.DictReader(text, delimiter=separator)
        return [
            {name: row[column] for name, column in FIELDS.items()} | {"line": int(row["_headrace_line"])} for row in islice(rows, SHOWN)
        ]


def show_result(terminal: Terminal, record: RunRecord, rejects: dict[str, list[dict[str, Any]]]) -> None:
    terminal.say(record.reason or record.state, style="bold red" if record.state == "FAILED" else "bold")
    for file in record.files:
        _show_file(terminal, file)
        if file.rejects_key:
            _show_rejects(terminal, file, rejects.get(file.rejects_key, []))
    if record.skipped:
        terminal.show(table(("left alone", "the ledger says"), record.skipped[:SHOWN]))
    if len(record.skipped) > SHOWN:
        terminal.say(f"and {len(record.skipped) - SHOWN:,} more: headrace scan {record.connection}")


def _show_file(terminal: Terminal, file: RunFile) -> None:
    took = f" in {file.seconds:.1f} s: {file.rows / file.seconds:,.0f} rows/s" if file.seconds else ""
    counts = file.counts
    terminal.say(f"s3://{file.bucket}/{file.key}", style="red" if file.state == "FAILED" else "green")
    if file.kind == EXPORT:
        _show_export(terminal, file)
        return
    terminal.say(f"  {file.rows:,} rows{took}")
    terminal.say("  " + ", ".join(f"{getattr(counts, one):,} {one}" for one in COUNTS))
    if file.state == "FAILED":
        terminal.say(f"  failed: {file.reason}", style="red")


def _show_export(terminal: Terminal, file: RunFile) -> None:
    took = f" in {file.seconds:.1f} s: {file.exported / file.seconds:,.0f} profiles/s" if file.seconds else ""
    terminal.say(f"  exported {file.exported:,} of {file.available:,} available profiles{took}")
    for header, count in file.left_out.items():
        terminal.say(f"  {count:,} values of column {header} left out: they hold the multi-value separator", style="yellow")
    if file.state == "FAILED":
        terminal.say(f"  failed: {file.reason}", style="red")


def _show_rejects(terminal: Terminal, file: RunFile, first: list[dict[str, Any]]) -> None:
    counts = file.counts
    terminal.say(f"  rejected: {_rejected(counts)}", style="yellow")
    if first:
        terminal.show(table(("line", "column", "code", "why"), _once(first), numbers=("line",)))
    more = "" if len(first) == counts.rejected + counts.cells else "all of them, "
    terminal.say(f"  {more}with the raw rows: s3://{file.bucket}/{file.rejects_key}")


def _once(rejects: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    """A cell that is mapped to two properties is rejected twice; people see it once."""
    return list(dict.fromkeys((str(one["line"]), one["column"] or "(row)", one["code"], one["message"]) for one in rejects))


def _rejected(counts: Outcomes) -> str:
    """A cell that is mapped to two properties counts as two values."""
    return f"{counts.rejected:,} rows; and {counts.cells:,} values, whose rows were imported without them"
