"""Where rows begin and end: a stream of bytes as blocks of whole, well-formed rows, and the lines that are not rows (SPEC I1, I11).

The grammar is RFC 4180's with two allowances: LF alone ends a row too, and an unquoted cell may hold quotes. What a line is depends on the file alone:

- A block without quotes is cut at its line ends, at memory speed.
- A block with quotes is checked at once for being well formed (every quote opens, closes or doubles); then a line end at even parity ends a row.
- Only a block that fails this is walked row by row. A malformed row costs its first line: reading goes on behind the next line end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headrace.outcomes import Reason

MAX_ROW_BYTES = 512 * 1024
RAW_BYTES = 64 * 1024
"""How much of a line that is no row is kept."""
CHUNK_BYTES = 2 * 1024 * 1024
NEWLINE, RETURN, QUOTE = 10, 13, 34
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no row. `raw`: its bytes without the line end, at most the first RAW_BYTES."""

    line: int
    offset: int
    reason: Reason
    raw: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """Whole rows. `starts`: each row's place in `data`, plus the end of the last; `lines`, `offsets`: its line and byte in the file."""

    data: bytes
    starts: Positions
    lines: Positions
    offsets: Positions
    quoted: bool
    bad: tuple[BadLine, ...] = ()

    @property
    def rows(self) -> int:
        return len(self.lines)

    def raw(self, row: int) -> bytes:
        """A row's bytes, without its line end."""
        return _without_line_end(self.data[self.starts[row] : self.starts[row + 1]])


def _without_line_end(line: bytes) -> bytes:
    """CRLF or LF; a carriage return before it belongs to the line."""
    return line.removesuffix(b"\n").removesuffix(b"\r")


class RowReader:
    """Reads `read(n) -> bytes` to its end as blocks. `separator`: one byte. Line 1 is the first; empty lines are counted, but are no rows."""

    def __init__(self, read: Callable[[int], bytes], separator: bytes) -> None:
        self._read = read
        self._separator = separator[0]
        self._row, self._cells = _patterns(separator)
        self._rest = b""
        self._line = 1
        self._offset = 0
        self._skipping = False
        self._ended = False

    def blocks(self) -> Iterator[Block]:
        while not self._ended:
            chunk = self._read(CHUNK_BYTES)
            self._ended = not chunk
            if self._skipping:
                chunk = self._skip_line(chunk)
            data = self._rest + chunk
            if self._ended and data and not data.endswith(b"\n"):
                data += b"\n"
            block, used = self._cut(data)
            self._advance(data, used)
            self._rest = data[used:]
            if block is not None:
                yield block

    def _advance(self, data: bytes, used: int) -> None:
        self._line += data.count(b"\n", 0, used)
        self._offset += used

    def _skip_line(self, chunk: bytes) -> bytes:
        """What is left of a chunk behind the line that was too long."""
        end = chunk.find(b"\n")
        used = len(chunk) if end < 0 else end + 1
        self._skipping = end < 0
        self._advance(chunk, used)
        return chunk[used:]

    def _cut(self, data: bytes) -> tuple[Block | None, int]:
        """The rows of `data` that are complete, and how many bytes they and the bad lines among them take."""
        array = np.frombuffer(data, np.uint8)
        ends = np.flatnonzero(array == NEWLINE)
        quotes = np.flatnonzero(array == QUOTE)
        if len(quotes):
            if not self._well_formed(array, quotes):
                return self._walk(data, ends)
            row_ends = ends[np.searchsorted(quotes, ends) % 2 == 0]
        else:
            row_ends = ends
        used = int(row_ends[-1]) + 1 if len(row_ends) else 0
        if self._ended and used < len(data):  # a quote is open at the end of the file
            return self._walk(data, ends)
        if not used:
            return self._walk(data, ends) if len(data) > MAX_ROW_BYTES else (None, 0)
        starts = np.concatenate(([0], row_ends + 1))
        longest = int(np.diff(starts).max())
        if longest > MAX_ROW_BYTES or len(data) - used > MAX_ROW_BYTES or self._lone_return(array[:used], quotes):
            return self._walk(data, ends)
        return self._block(data[:used], starts, ends, quoted=bool(len(quotes))), used

    def _well_formed(self, array: npt.NDArray[np.uint8], quotes: Positions) -> bool:
        """Whether every odd quote opens a cell (or doubles the one before) and every even one closes it (or is doubled by the next)."""
        separator = self._separator
        opening, closing = quotes[0::2], quotes[1::2]
        before = array[np.maximum(opening - 1, 0)]
        opens = (opening == 0) | (before == separator) | (before == NEWLINE) | (before == QUOTE)
        if not opens.all():
            return False
        after_places = closing + 1
        inside = after_places < len(array)
        after = np.full(len(closing), NEWLINE, np.uint8)
        after[inside] = array[after_places[inside]]
        return bool(((after == separator) | (after == NEWLINE) | (after == RETURN) | (after == QUOTE)).all())

    def _lone_return(self, array: npt.NDArray[np.uint8], quotes: Positions) -> bool:
        """Whether a carriage return outside quotes is not part of CRLF."""
        returns = np.flatnonzero(array == RETURN)
        if not len(returns):
            return False
        after = np.minimum(returns + 1, len(array) - 1)
        lone = returns[array[after] != NEWLINE]
        return bool(len(lone)) and bool((np.searchsorted(quotes, lone) % 2 == 0).any())

    def _block(self, data: bytes, starts: Positions, ends: Positions, *, quoted: bool, bad: tuple[BadLine, ...] = ()) -> Block:
        lengths = np.diff(starts)
        array = np.frombuffer(data, np.uint8)
        empty = (lengths == 1) | ((lengths == 2) & (array[starts[:-1]] == RETURN))
        lines = self._line + np.searchsorted(ends, starts[:-1])
        keep = ~empty
        if empty.any():
            data = b"".join(data[a:b] for a, b in zip(starts[:-1][keep], starts[1:][keep], strict=True))
            offsets = self._offset + starts[:-1][keep]
            starts = np.concatenate(([0], np.cumsum(lengths[keep])))
            return Block(data, starts, lines[keep], offsets, quoted, bad)
        return Block(data, starts, lines, self._offset + starts[:-1], quoted, bad)

    def _walk(self, data: bytes, ends: Positions) -> tuple[Block | None, int]:
        """Row by row, for a block that is not well formed."""
        place, size = 0, len(data)
        spans: list[tuple[int, int]] = []
        bad: list[BadLine] = []
        while place < size:
            match = self._row.match(data, place)
            end = match.end() if match else -1
            if 0 < end - place <= MAX_ROW_BYTES:
                spans.append((place, end))
                place = end
                continue
            reason, upto = self._judge(data, place, ends, closed=end > 0)
            if reason is None:
                break
            bad.append(
                BadLine(
                    self._line + int(np.searchsorted(ends, place)),
                    self._offset + place,
                    reason,
                    _without_line_end(data[place:upto])[:RAW_BYTES],
                )
            )
            place = upto
        if not spans and not bad:
            return None, place
        first = np.array([start for start, _ in spans], np.int64)
        lengths = np.array([end - start for start, end in spans], np.int64)
        nonempty = np.array([data[a:b] not in (b"\n", b"\r\n") for a, b in spans], bool)
        rows = b"".join(data[a:b] for (a, b), keep in zip(spans, nonempty, strict=True) if keep)
        starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths[nonempty])))
        lines = self._line + np.searchsorted(ends, first[nonempty])
        return Block(rows, starts, lines, self._offset + first[nonempty], b'"' in rows, tuple(bad)), place

    def _judge(self, data: bytes, place: int, ends: Positions, *, closed: bool) -> tuple[Reason | None, int]:
        """Why no row starts at `place`, and where reading goes on; no reason: more of the file is needed to tell."""
        following = int(np.searchsorted(ends, place))
        line_end = int(ends[following]) + 1 if following < len(ends) else -1
        if line_end < 0 or line_end - place > MAX_ROW_BYTES:
            if len(data) - place <= MAX_ROW_BYTES and line_end < 0:
                return None, place
            if line_end < 0:
                self._skipping = True
                return Reason.ROW_TOO_LONG, len(data)
            return Reason.ROW_TOO_LONG, line_end
        if closed:  # longer than a row may be, over several lines
            return Reason.UNCLOSED_QUOTE, line_end
        # No further than a row may reach: what lies behind must not decide, since it may not be read yet.
        limit = min(len(data), place + MAX_ROW_BYTES)
        reached = self._cells.match(data, place, limit)
        stop = reached.end() if reached else place
        undecided = data[stop:limit] in (b"", b"\r") or data[stop] == QUOTE
        if undecided:
            return (None, place) if not self._ended and len(data) - place <= MAX_ROW_BYTES else (Reason.UNCLOSED_QUOTE, line_end)
        return (Reason.BAD_LINE_END if data[stop] == RETURN else Reason.BAD_QUOTE), line_end


def _patterns(separator: bytes) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """One row with its line end (a quoted cell may span lines), and as many cells as can be read. Possessive: no backtracking."""
    s = re.escape(separator)
    cell = rb'(?:"[^"]*+(?:""[^"]*+)*+"|[^"' + s + rb"\r\n][^" + s + rb"\r\n]*+)?+"
    cells = cell + rb"(?:" + s + cell + rb")*+"
    return re.compile(cells + rb"\r?\n"), re.compile(cells)
