"""A file of rejects as a person gives it back: corrected in an editor or a spreadsheet, lines left out (SPEC B2).

Spreadsheets may have changed separator, quotes and line ends, left out blank cells at the end of a line, and have put a byte order mark in front.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from headrace.errors import TerminalError
from headrace.outcomes import Reason
from headrace.reject_ids import RejectId, digest_of
from streaming.importing.reject_lines import CODE, NAME, OWN_COLUMNS, RAW, row_cells
from streaming.split.rows import MAX_ROW_BYTES

_ESCAPE = re.compile(r"\\x(?:00|[89a-f][0-9a-f])")
"""How a byte that is no text is shown in `_headrace_raw`."""
_ADVICE = "Give a file that Headrace wrote below _headrace/rejects/, corrected; its first line must stay as it is."


class ByteSource(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


class NotARejectsFileError(TerminalError):
    """It can't be read as a corrected file of rejects."""

    code = "NOT_A_REJECTS_FILE"


@dataclass(frozen=True, slots=True)
class Problem:
    """A line of the corrected file that is left as it is, and why. `line` counts from 1; `column`: the original file's, or Headrace's own."""

    line: int
    column: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class CorrectedLine:
    """`number` counts from 1. `cells`: those of the original file's columns."""

    number: int
    name: str
    code: str
    raw: str
    cells: list[str]


class CorrectedFile:
    """`name`: how errors call it. `header`: the original file's columns. Raises NotARejectsFileError, and whatever `source` raises."""

    def __init__(self, source: ByteSource, name: str) -> None:
        self._name = name
        text = io.TextIOWrapper(io.BufferedReader(_Unmarked(source)), encoding="utf-8", newline="")
        first = self._first_line(text)
        found = re.match(rf'"?{OWN_COLUMNS[0]}"?([^\r\n"])', first)
        if found is None:
            raise NotARejectsFileError(
                f"{name}, line 1: this is no file of rejects: its first column is not {OWN_COLUMNS[0]}.", hint=_ADVICE
            )
        self._reader = csv.reader(_behind(first, text), delimiter=found[1], strict=True)
        names = next(self._rows())[1]
        if tuple(names[: len(OWN_COLUMNS)]) != OWN_COLUMNS:
            raise NotARejectsFileError(f"{name}, line 1: the first columns must be {', '.join(OWN_COLUMNS)}, in this order.", hint=_ADVICE)
        self.header = names[len(OWN_COLUMNS) :]

    def _first_line(self, text: io.TextIOBase) -> str:
        try:
            return text.readline(MAX_ROW_BYTES)
        except UnicodeDecodeError:
            raise self._not_utf8(1) from None

    def _not_utf8(self, line: int) -> NotARejectsFileError:
        return NotARejectsFileError(
            f"{self._name}, at or behind line {line}: this is not UTF-8.", hint="Save it as 'CSV UTF-8' from the spreadsheet."
        )

    def lines(self) -> Iterator[CorrectedLine | Problem]:
        """Empty lines are left out."""
        width = len(OWN_COLUMNS) + len(self.header)
        for number, cells in self._rows():
            if not any(cells):
                continue
            if any(cells[width:]):
                yield Problem(number, "", Reason.WRONG_COLUMN_COUNT.value, Reason.WRONG_COLUMN_COUNT.message)
                continue
            padded = [*cells[:width], *[""] * (width - len(cells))]
            yield CorrectedLine(number, padded[NAME], padded[CODE], padded[RAW], padded[len(OWN_COLUMNS) :])

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        while True:
            number = self._reader.line_num + 1
            try:
                cells = next(self._reader, None)
            except csv.Error as error:
                raise NotARejectsFileError(
                    f"{self._name}, line {number}: the line can't be read: {error}.",
                    hint="Close each quote, and double a quote inside a cell.",
                ) from None
            except UnicodeDecodeError:
                raise self._not_utf8(number) from None
            if cells is None:
                return
            yield number, cells


def corrected_cells(line: CorrectedLine, name: RejectId, header: list[str], separator: str) -> list[str] | Problem:
    """The row that a line now gives, or why it gives none. `separator`: the original file's, which `_headrace_raw` is cut at."""
    cells = line.cells
    if line.raw:
        if digest_of(line.raw) == name.detail or (line.code in (Reason.BAD_ENCODING, Reason.NUL_BYTE) and _ESCAPE.search(line.raw)):
            said = Reason(line.code).message if line.code in Reason.__members__ else ""
            return Problem(line.number, OWN_COLUMNS[RAW], "NOT_CORRECTED", f"The row is as it was rejected. {said}".rstrip())
        found = row_cells(line.raw, separator)
        if found is None or len(found) != len(header):
            reason = Reason.BAD_QUOTE if found is None else Reason.WRONG_COLUMN_COUNT
            return Problem(line.number, OWN_COLUMNS[RAW], reason.value, reason.message)
        cells = found
    if any("\0" in cell for cell in cells):
        return Problem(line.number, "", Reason.NUL_BYTE.value, Reason.NUL_BYTE.message)
    if sum(len(cell.encode()) + 4 for cell in cells) > MAX_ROW_BYTES - 4_096:
        return Problem(line.number, "", Reason.ROW_TOO_LONG.value, Reason.ROW_TOO_LONG.message)
    return cells


def _behind(first: str, rest: io.TextIOBase) -> Iterator[str]:
    yield first
    yield from rest


class _Unmarked(io.RawIOBase):
    """A source as a stream, without the byte order mark in front."""

    def __init__(self, source: ByteSource) -> None:
        super().__init__()
        self._source = source
        self._held: bytes | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._held is None:
            self._held = self._source.read(len(buffer)) or b""
            while self._held and len(self._held) < len(codecs.BOM_UTF8) and (more := self._source.read(len(buffer))):
                self._held += more
            self._held = self._held.removeprefix(codecs.BOM_UTF8)
        data, self._held = (
            (self._held[: len(buffer)], self._held[len(buffer) :]) if self._held else (self._source.read(len(buffer)) or b"", b"")
        )
        buffer[: len(data)] = data
        return len(data)
