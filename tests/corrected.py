"""Files of rejects as a person corrects them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace

from headrace.connections import Connection
from profile_store.reject_history import ImportRejects, rejects_of_connection
from profile_store.runs import RunRecord, now
from streaming.importing.context import ImportContext
from tasks.replay import replay_file
from tasks.replay_report import ReplayReport

Line = dict[str, str]
Correct = Callable[[Line], Line | None]
"""A line of a file of rejects → as it is given back; None: it is deleted. The file's own columns by name, Headrace's with `_headrace_` in front."""


def corrected(data: bytes, correct: Correct, separator: str = ",") -> bytes:
    rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=separator)
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows.fieldnames or ()), delimiter=separator)
    writer.writeheader()
    writer.writerows(line for row in rows if (line := correct(row)) is not None)
    return out.getvalue().encode()


def with_cells(**cells: str) -> Correct:
    return lambda line: {**line, **cells}


def replay(context: ImportContext, connection: Connection, data: bytes, run_id: str = "replay") -> ReplayReport:
    """As `headrace rejects replay` does it, with a file of the name corrected.csv."""
    run = RunRecord(run_id, connection.name, "", started=now())
    return replay_file(context, run, "corrected.csv", lambda _: io.BytesIO(data))


def history(context: ImportContext, connection: Connection) -> ImportRejects:
    """Of the connection's one import that rejected something."""
    [found] = rejects_of_connection(context.store, connection.name)
    return replace(found)
