"""Rejected rows and cells as a CSV object beside the file (SPEC B2).

The store knows where a reject is, not what the row said: the rows are read again from the file, in one pass, in step with the splitter's
own rejects.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from headrace.errors import TerminalError
from headrace.outcomes import Reason, Reject
from profile_store import sequence
from profile_store.sequence import Registration
from streaming.importing.context import ImportContext, Progress
from streaming.importing.publish import open_source
from streaming.merge.changes import decode_rejects
from streaming.split.row_text import cells_of, row_of
from streaming.split.splitter import Splitter

SAMPLE = 20
OWN_COLUMNS = ("_line", "_offset", "_column", "_code", "_message", "_raw")
UNREADABLE = frozenset(
    {
        Reason.WRONG_COLUMN_COUNT,
        Reason.UNCLOSED_QUOTE,
        Reason.BAD_QUOTE,
        Reason.BAD_LINE_END,
        Reason.BAD_ENCODING,
        Reason.NUL_BYTE,
        Reason.ROW_TOO_LONG,
    }
)
"""Reasons for which a row has no columns to show."""


@dataclass(frozen=True, slots=True)
class RejectsFile:
    """`key` None: nothing was rejected, or `problem` says why there is no file. `sample`: the first few; no cell values."""

    key: str | None
    rows: int
    cells: int
    sample: tuple[Reject, ...]
    problem: str = ""


def rejects_key(registration: Registration) -> str:
    """`<directory>/_headrace/rejects/<goal>/<import_seq>-<file name>.csv`."""
    place = PurePosixPath(registration.needed_source.key)
    name = f"{registration.import_seq}-{place.name.split('.')[0]}.csv"
    return str(place.parent / "_headrace" / "rejects" / registration.goal / name)


def write_rejects(context: ImportContext, registration: Registration, expected: int) -> RejectsFile:
    """Write the rejects of an import; `expected`: how many rows and cells were counted (0: nothing is read, nothing is written).

    Columns: where and why first; `_raw` holds a row that could not be cut into the header's columns; then the file's own columns.
    Every row is applied and counted by now: rejects that can't be written (`problem`) must not make the import fail, or it would be applied again.
    """
    if not expected:
        return RejectsFile(None, 0, 0, ())
    try:
        return _write(context, registration, expected)
    except TerminalError as error:
        if error.code == "REDIS_DENIED":
            raise
        return RejectsFile(None, 0, 0, (), f"The rejects could not be written. {error}")


def _write(context: ImportContext, registration: Registration, expected: int) -> RejectsFile:
    source, key = registration.needed_source, rejects_key(registration)
    objects = context.objects_of(registration.connection)
    separator = registration.needed_plan.file_format.separator
    rows = cells = 0
    sample: list[Reject] = []
    with open_source(context, registration) as stream, objects.open_write(source.bucket, key) as out:
        splitter = Splitter(lambda size: stream.read(size) or b"", registration.needed_plan, source.key)
        for reject, raw in splitter.rejected(_stored(context, registration)):
            if rows + cells == 0:
                out.write(row_of([*OWN_COLUMNS, *splitter.header], separator).encode())
            rows, cells = rows + (reject.column is None), cells + (reject.column is not None)
            if len(sample) < SAMPLE:
                sample.append(reject)
            out.write(row_of(_fields(reject, raw, separator, len(splitter.header)), separator).encode())
            context.report(Progress("rejects", rows + cells, expected))
    return RejectsFile(key, rows, cells, tuple(sample))


def _stored(context: ImportContext, registration: Registration) -> Iterator[Reject]:
    """What the workers rejected, in file order."""
    domain, import_seq = registration.domain, registration.import_seq

    def of(partition: int) -> Iterator[Reject]:
        for payload in sequence.read_rejects(context.store, domain, partition, import_seq):
            yield from decode_rejects(payload)

    return heapq.merge(*(of(partition) for partition in range(registration.needed_plan.partitions)), key=lambda one: one.offset)


def _fields(reject: Reject, raw: bytes, separator: str, width: int) -> list[str]:
    text = raw.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
    cells = cells_of(text, separator) if reject.reason not in UNREADABLE else []
    readable = len(cells) == width
    own = [str(reject.line), str(reject.offset), reject.column or "", reject.reason.value, reject.reason.message]
    return [*own, "", *cells] if readable else [*own, text, *([""] * width)]
