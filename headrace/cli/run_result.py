"""What a run did, for people: outcomes by file, what was left alone and why, the first rejects."""

from __future__ import annotations

import csv
import io
from typing import Any

from rich.text import Text

from headrace.cli.terminal import Terminal, plain, table
from headrace.errors import HeadraceError
from headrace.outcomes import Outcomes
from profile_store.runs import RunFile, RunRecord
from streaming.importing.context import ImportContext

SHOWN = 20
"""Rejects of a file; the rejects file has all."""
FIELDS = {"line": "_line", "column": "_column", "code": "_code", "message": "_message"}
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
    with io.TextIOWrapper(io.BufferedReader(objects.open(objects.head(bucket, key))), encoding="utf-8", newline="") as text:
        # The file has its source's separator: it stands behind the first column's name.
        header = next(csv.reader([text.readline()]), [])
        first = ",".join(header)
        separator = first[len("_line")] if len(first) > len("_line") else ","
        text.seek(0)
        rows = csv.DictReader(text, delimiter=separator)
        return [
            {name: row[column] for name, column in FIELDS.items()} | {"line": int(row["_line"])}
            for row, _ in zip(rows, range(SHOWN), strict=False)
        ]


def show_result(terminal: Terminal, record: RunRecord, rejects: dict[str, list[dict[str, Any]]]) -> None:
    terminal.say(record.reason or record.state, style="bold red" if record.state == "FAILED" else "bold")
    if record.files:
        header = ("file", "rows", *COUNTS, "seconds", "rows/s")
        terminal.show(table(header, [_row(file) for file in record.files], numbers=header[1:]))
    for file in record.files:
        _show_details(terminal, file, rejects)
    if record.skipped:
        terminal.show(table(("left alone", "the ledger says"), record.skipped))


def _row(file: RunFile) -> tuple[str | Text, ...]:
    counts = file.counts
    name = plain(file.key)
    rate = f"{file.rows / file.seconds:,.0f}" if file.seconds else ""
    seconds = f"{file.seconds:.1f}" if file.seconds else ""
    numbers = (f"{count:,}" for count in (file.rows, *(getattr(counts, one) for one in COUNTS)))
    return (Text(name, style="red") if file.state == "FAILED" else name, *numbers, seconds, rate)


def _show_details(terminal: Terminal, file: RunFile, rejects: dict[str, list[dict[str, Any]]]) -> None:
    if file.state == "FAILED":
        terminal.say(f"s3://{file.bucket}/{file.key} failed: {file.reason}", style="red")
    if not file.rejects_key:
        return
    counts = file.counts
    terminal.say(f"rejected of {file.key}: {_rejected(counts)}", style="bold yellow")
    first = rejects.get(file.rejects_key, [])
    if first:
        terminal.show(table(("line", "column", "code", "why"), [_reject(one) for one in first], numbers=("line",)))
    more = "" if len(first) == counts.rejected + counts.cells else "all of them, "
    terminal.say(f"{more}with the raw rows: s3://{file.bucket}/{file.rejects_key}")


def _reject(reject: dict[str, Any]) -> tuple[str, str, str, str]:
    return str(reject["line"]), reject["column"] or "(row)", reject["code"], reject["message"]


def _rejected(counts: Outcomes) -> str:
    return f"{counts.rejected:,} rows, and {counts.cells:,} cells of rows that were imported without them"
