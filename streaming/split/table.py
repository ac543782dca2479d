"""A block of rows as columns of text: the header, the number of columns, the encoding (SPEC I1, I6, I11)."""

from __future__ import annotations

import codecs
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from headrace.configuration_model import shown
from headrace.errors import TerminalError
from headrace.outcomes import Reason
from streaming.split.row_text import cells_of
from streaming.split.rows import BadLine, Block
from streaming.split.separator import Separator


class HeaderError(TerminalError):
    """The first line does not name the columns as it must."""

    code = "BAD_HEADER"


@dataclass(frozen=True, slots=True)
class Columns:
    """Rows as columns. `cells`: column name → texts without nulls; `lines`, `offsets`: of each row, int64; `rows_read` counts the rejected ones too."""

    cells: dict[str, pa.StringArray]
    lines: Any
    offsets: Any
    bad: tuple[BadLine, ...]

    @property
    def rows(self) -> int:
        return len(self.lines)

    @property
    def rows_read(self) -> int:
        return self.rows + len(self.bad)


def first_row(block: Block, name: str) -> tuple[bytes, Block]:
    """The header's bytes, and the block without it. Raises HeaderError where the first line is not a row."""
    if block.bad and (not block.rows or block.bad[0].offset < block.offsets[0]):
        first = block.bad[0]
        reason = Reason.BAD_LINE_END if first.reason is Reason.ROW_TOO_LONG and b"\r" in first.raw else first.reason
        raise HeaderError(f"{name}, line {first.line}: the header can't be read. {reason.message}")
    size = int(block.starts[1])
    rest = Block(block.data[size:], block.starts[1:] - size, block.lines[1:], block.offsets[1:], block.quoted, block.bad)
    return block.raw(0), rest


def read_header(raw: bytes, separator: str, needed: tuple[str, ...], name: str) -> list[str]:
    """The column names of a file called `name`. Raises HeaderError, saying which column is missing or named twice and what there is."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise HeaderError(
            f"{name}, line 1, byte {error.start}: the header is not text in the file's encoding.",
            hint="Set `encoding` in the goal's format.",
        ) from None
    if "\0" in text:
        raise HeaderError(
            f"{name}, line 1: the header holds NUL bytes; is this UTF-16, or no text at all?", hint="Set `encoding` in the goal's format."
        )
    names = cells_of(text, separator)
    counts = Counter(names)
    for wanted in needed:
        if counts[wanted] == 0:
            there = ", ".join(f"'{shown(one)}'" for one in names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
            raise HeaderError(
                f"{name}, line 1: there is no column '{wanted}'; the columns are {there}.",
                code="COLUMN_MISSING",
                hint="Change the mapping, or check the separator: names match exactly, capitals included.",
            )
        if counts[wanted] > 1:
            raise HeaderError(
                f"{name}, line 1: {counts[wanted]} columns are called '{wanted}', so a mapping can't tell them apart.",
                code="COLUMN_TWICE",
                hint="Rename them in the file.",
            )
    return names


class TableReader:
    """Turns blocks into columns, for one header. `wanted`: the column names to read."""

    def __init__(self, header: list[str], wanted: tuple[str, ...], separator: Separator) -> None:
        places = {name: place for place, name in reversed(list(enumerate(header)))}  # the first of each; files may have very many columns
        self._places = {name: places[name] for name in wanted}
        self._names = [str(place) for place in range(len(header))]
        self._separator = separator
        self._types = {str(place): pa.string() for place in self._places.values()}

    def read(self, block: Block) -> Columns:
        block, bad_text = _without_bad_text(block)
        wrong: list[int] = []

        def note(row: Any) -> str:
            wrong.append(row.number - 1)
            return "skip"

        if block.rows:
            table = pyarrow.csv.read_csv(
                pa.py_buffer(_with_first_mark_kept(block.data)),
                read_options=pyarrow.csv.ReadOptions(
                    use_threads=False, column_names=self._names, block_size=max(1 << 16, len(block.data) + 8)
                ),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=self._separator.byte.decode(),
                    quote_char='"' if block.quoted else False,
                    newlines_in_values=block.quoted,
                    invalid_row_handler=note,
                    ignore_empty_lines=True,
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=self._types, include_columns=list(self._types), strings_can_be_null=False, check_utf8=False
                ),
            ).combine_chunks()
            cells = {name: self._separator.cells(_only_chunk(table.column(str(place)))) for name, place in self._places.items()}
            rows = table.num_rows
        else:
            cells, rows = {name: pa.array([], pa.string()) for name in self._places}, 0
        if rows + len(wrong) != block.rows:
            raise AssertionError(f"{block.rows} rows were cut, {rows} + {len(wrong)} were read: the cutter and the reader disagree")
        lines, offsets = block.lines, block.offsets
        bad = (*block.bad, *bad_text)
        if wrong:
            bad = (*bad, *(BadLine(int(lines[row]), int(offsets[row]), Reason.WRONG_COLUMN_COUNT, block.raw(row)) for row in wrong))
            keep = np.ones(block.rows, bool)
            keep[wrong] = False
            lines, offsets = lines[keep], offsets[keep]
        return Columns(cells, lines, offsets, tuple(sorted(bad, key=lambda one: one.offset)))


def _with_first_mark_kept(data: bytes) -> bytes:
    """Arrow leaves out a byte order mark that its input begins with. Where a block begins is chance, so this one is the text's own (SPEC I11)."""
    return codecs.BOM_UTF8 + data if data.startswith(codecs.BOM_UTF8) else data


def _undecodable(block: Block) -> list[int]:
    """The rows that are not UTF-8."""
    try:
        block.data.decode("utf-8")
    except UnicodeDecodeError:
        return [row for row in range(block.rows) if not _is_utf8(block.data[block.starts[row] : block.starts[row + 1]])]
    return []


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _only_chunk(column: pa.ChunkedArray) -> pa.StringArray:
    return (
        column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.string())
    )


def _without_bad_text(block: Block) -> tuple[Block, list[BadLine]]:
    """The block without rows that are not UTF-8 or hold NUL bytes."""
    wrong = dict.fromkeys(_undecodable(block), Reason.BAD_ENCODING)
    place = block.data.find(b"\0")
    while place >= 0:
        row = int(np.searchsorted(block.starts, place, side="right")) - 1
        wrong.setdefault(row, Reason.NUL_BYTE)
        place = block.data.find(b"\0", int(block.starts[row + 1]))
    if not wrong:
        return block, []
    bad = [BadLine(int(block.lines[row]), int(block.offsets[row]), reason, block.raw(row)) for row, reason in sorted(wrong.items())]
    keep = np.ones(block.rows, bool)
    keep[list(wrong)] = False
    lengths = np.diff(block.starts)[keep]
    data = b"".join(block.data[a:b] for a, b in zip(block.starts[:-1][keep], block.starts[1:][keep], strict=True))
    starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
    return Block(data, starts, block.lines[keep], block.offsets[keep], block.quoted, block.bad), bad
