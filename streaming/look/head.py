"""The beginning of a file, cut into rows and cells as an import cuts it; no more of it is read than that takes."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

import pyarrow as pa

from headrace.import_plan import PlannedFormat
from object_store.store import ObjectStore
from object_store.versions import ObjectVersion
from streaming.split.encoding import Read, Text
from streaming.split.rows import BadLine, RowReader
from streaming.split.separator import Separator
from streaming.split.table import HeaderError, TableReader, first_row, read_header

READ_BYTES = 128 * 1024
"""At a time. What a block is cut from has no influence on the rows."""
MOST_BYTES = 16 << 20
"""Of text, whatever number of rows was asked for: rows may be long."""
MOST_CELLS = 500_000
"""Files may have very many columns."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first rows of a file. `cells`: column by column, in the file's order; `lines`: the line of each row; `bad`: lines among them that are no rows.

    `whole`: there is nothing behind them.
    """

    header: list[str]
    cells: list[list[str]]
    lines: list[int]
    bad: tuple[BadLine, ...]
    whole: bool

    @property
    def rows(self) -> int:
        return len(self.lines)

    @property
    def doubles(self) -> list[str]:
        """Names that several columns have: no mapping can tell them apart."""
        return [name for name, count in Counter(self.header).items() if count > 1]

    def column(self, name: str) -> list[str] | None:
        """Its cells; None where no column, or more than one, is called so."""
        return self.cells[self.header.index(name)] if self.header.count(name) == 1 else None


def read_head(objects: ObjectStore, version: ObjectVersion, file_format: PlannedFormat, rows: int) -> Head:
    """Raises HeaderError, and what opening and reading the object raise."""
    with objects.open_text_bytes(version) as stream:
        return head_of(lambda size: stream.read(size) or b"", file_format, version.key, rows)


def head_of(read: Read, file_format: PlannedFormat, name: str, rows: int) -> Head:
    """`name`: how errors call the file. At most `rows` rows, those that can't be read among them."""
    begun = _Begun(read, file_format, name)
    with suppress(_EnoughError):
        begun.read_rows(rows)
    if begun.table is None:
        raise HeaderError(f"{name}: the file is empty.", code="EMPTY_FILE", hint="The first line must name the columns.")
    return begun.head(rows)


class _EnoughError(Exception):
    """MOST_BYTES were read: a row or a line that never ends."""


class _Begun:
    """A file that is read as far as `read_rows` gets."""

    def __init__(self, read: Read, file_format: PlannedFormat, name: str) -> None:
        self._read = read
        self._name = name
        self._separator = Separator(file_format.separator)
        self._text = Text(self._some, file_format.encoding, self._separator, name)
        self._left = MOST_BYTES
        self._ended = False
        self._header: list[str] = []
        self._parts: list[list[pa.StringArray]] = []
        self._lines: list[int] = []
        self._bad: list[BadLine] = []
        self.table: TableReader | None = None

    def _some(self, size: int) -> bytes:
        if self._left <= 0:
            raise _EnoughError
        found = self._read(min(size, READ_BYTES))
        self._left -= len(found)
        self._ended = not found
        return found

    def read_rows(self, rows: int) -> None:
        for found in RowReader(self._text.read, self._separator.byte).blocks():
            block = self._text.located(found)
            if self.table is None:
                if not block.rows and not block.bad:  # empty lines before the header
                    continue
                first, block = first_row(block, self._name)
                self._header = read_header(self._separator.traded(first), self._separator.character, (), self._name)
                # By place, not by name: names may be there twice.
                places = [str(place) for place in range(len(self._header))]
                self.table = TableReader(places, tuple(places), self._separator)
            columns = self.table.read(block)
            self._parts.append(list(columns.cells.values()))
            self._lines += columns.lines.tolist()
            self._bad += columns.bad
            if len(self._lines) + len(self._bad) >= rows or len(self._lines) * len(self._header) >= MOST_CELLS:
                return

    def head(self, rows: int) -> Head:
        seen = sorted([*self._lines, *(one.line for one in self._bad)])
        last = seen[:rows][-1] if seen else 0
        kept = sum(line <= last for line in self._lines)
        cells = [[text for part in self._parts for text in part[place].to_pylist()][:kept] for place in range(len(self._header))]
        bad = tuple(one for one in self._bad if one.line <= last)
        return Head(self._header, cells, self._lines[:kept], bad, self._ended and len(seen) <= rows)
