"""The lines of a file of rejects: what a person is shown, and may correct (SPEC B2; docs/adr/0018)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from headrace.import_plan import ImportPlan
from headrace.outcomes import Reason, Reject
from headrace.reject_ids import RejectId, cell_of, costs_its_row, digest_of, link_of, mapping_of, read_name
from profile_store.registration import Registration
from streaming.importing.taken_rows import SEPARATOR
from streaming.split.row_text import cells_of
from streaming.split.splitter import Splitter

OWN_COLUMNS = (
    "_headrace_reject",
    "_headrace_line",
    "_headrace_offset",
    "_headrace_column",
    "_headrace_code",
    "_headrace_message",
    "_headrace_raw",
)
"""In front of the file's own. The first names the reject, and must stay as it is; the last holds a row that could not be cut into columns."""
NAME, LINE, OFFSET, COLUMN, CODE, MESSAGE, RAW = range(len(OWN_COLUMNS))

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
TOGETHER = "; "
"""Between what several cells cost one row."""


@dataclass(frozen=True, slots=True)
class RejectLine:
    """`rejects`: one, or all cells that cost this row together. `raw`: a row without columns; then `cells` are blank."""

    name: RejectId
    rejects: tuple[Reject, ...]
    raw: str
    cells: list[str]

    @property
    def is_row(self) -> bool:
        return not self.name.cell

    def fields(self, key: bytes, token: str) -> list[str]:
        """`token`: of the import that rejected it first."""
        columns = dict.fromkeys(one.column for one in self.rejects if one.column is not None)
        reasons = dict.fromkeys(one.reason for one in self.rejects)
        return [
            self.name.sealed(key, token),
            str(self.name.line),
            str(self.name.offset),
            TOGETHER.join(columns),
            TOGETHER.join(one.value for one in reasons),
            " ".join(one.message for one in reasons),
            self.raw,
            *self.cells,
        ]


def lines_of_import(rejected: Iterable[tuple[Reject, bytes]], registration: Registration, splitter: Splitter) -> Iterator[RejectLine]:
    """`rejected`: in file order, each with its row's bytes, as `splitter` gives them; it knows the header once the first of them is there."""
    plan = registration.needed_plan
    for (offset, whole), found in groupby(rejected, lambda one: (one[0].offset, costs_its_row(one[0], plan))):
        together = list(found)
        line, raw = together[0][0].line, together[0][1]
        text = raw.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
        cells = cells_of(text, plan.file_format.separator) if together[0][0].reason not in UNREADABLE else []
        if len(cells) != len(splitter.header):
            name = RejectId(registration.domain, registration.import_seq, line, offset, detail=digest_of(text))
            yield RejectLine(name, (together[0][0],), text, [""] * len(splitter.header))
        elif whole:
            name = RejectId(registration.domain, registration.import_seq, line, offset)
            yield RejectLine(name, tuple(reject for reject, _ in together), "", cells)
        else:
            address = _address(plan, splitter.header, cells)
            for reject, _ in together:
                name = RejectId(registration.domain, registration.import_seq, line, offset, cell_of(reject, plan), address)
                yield RejectLine(name, (reject,), "", cells)


def lines_of_replay(
    rejected: Iterable[tuple[Reject, bytes]], registration: Registration, first: Registration, splitter: Splitter
) -> Iterator[RejectLine]:
    """As `lines_of_import`, by the names that the rows have since `first` rejected them; cells of rows that were replayed get their own."""
    plan, own = registration.needed_plan, 0 if registration.replay is None else registration.replay.own_columns
    for (_, whole), found in groupby(rejected, lambda one: (one[0].offset, costs_its_row(one[0], plan))):
        together = list(found)
        cells = cells_of(together[0][1].decode(), SEPARATOR)
        named = read_name(cells[0])
        if named is None:
            raise ValueError("a row of a replay's source names no reject")
        name, data = named[0], cells[own:]
        if name.cell:
            yield RejectLine(name, (_of_column(together[0][0], name, first.needed_plan),), "", data)
        elif whole:
            yield RejectLine(name, tuple(reject for reject, _ in together), "", data)
        else:
            address = _address(plan, splitter.header[own:], data)
            for reject, _ in together:
                cell = cell_of(reject, plan)
                yield RejectLine(RejectId(name.domain, name.import_seq, name.line, name.offset, cell, address), (reject,), "", data)


def _address(plan: ImportPlan, header: list[str], cells: list[str]) -> str:
    """Of the profile that a row is for: it has one, or it would have been rejected as a row."""
    found = plan.address_of_row(dict(zip(header, cells, strict=True)))
    if isinstance(found, Reason):
        raise TypeError("a row whose cell was rejected has no identifier")
    return found.hex()


def _of_column(reject: Reject, name: RejectId, plan: ImportPlan) -> Reject:
    """A cell has a column of its own in a replay; a person knows it by the file's."""
    mapping = mapping_of(name.cell, plan)
    column = link_of(name.cell, plan).column if mapping is None else mapping.column
    return Reject(name.line, name.offset, column, reject.reason, reject.property)


def row_cells(text: str, separator: str) -> list[str] | None:
    """The cells of one row that a person corrected; None where it is none, or more than one."""
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True) if row]
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None
