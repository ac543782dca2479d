"""Bytes in any encoding as UTF-8 without a byte order mark, and where in the file a line of that text begins (SPEC I11, B2)."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from headrace.errors import TerminalError, UnsupportedFormatError
from headrace.formats import STATEFUL_ENCODINGS
from streaming.split.rows import NEWLINE, Block, Positions
from streaming.split.separator import Separator

Read = Callable[[int], bytes]
"""`read(n)`: at least one byte and about `n`; b"" at the end."""

_BAD_BYTE = "\udcff"


def _mark(error: UnicodeError) -> tuple[str, int]:
    """What can't be decoded becomes bytes that are never UTF-8, so that its row is rejected, and no other: no line end is part of it."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wide = error.encoding.startswith(("utf-16", "utf-32", "utf16", "utf32"))
    line_end = -1 if wide else error.object.find(b"\n", error.start + 1, error.end)
    return _BAD_BYTE, error.end if line_end < 0 else line_end


codecs.register_error("headrace.mark", _mark)


class Text:
    """A file's bytes as UTF-8, for `RowReader`: its separator as one byte, its byte order mark left out.

    `file`: how errors call it. Not for several threads. Raises UnsupportedFormatError for an encoding that is not read, and from `read` TerminalError where
    a byte order mark is missing.
    """

    def __init__(self, read: Read, encoding: str, separator: Separator, file: str) -> None:
        name = codecs.lookup(encoding).name
        if name.startswith(STATEFUL_ENCODINGS):
            raise UnsupportedFormatError(
                f"The encoding {name} is not read: it keeps state from byte to byte.", hint="Convert the file to UTF-8."
            )
        plain = name in ("utf-8", "utf-8-sig", "ascii")
        self._lines = None if plain and separator.is_plain else _LineStarts(name)
        noted = read if self._lines is None else self._lines.noting(read)
        self._text = _WithoutMark(noted if plain else _Transcoder(noted, name, file).read)
        self.read: Read = self._text.read if separator.is_plain else separator.trading(self._text.read)

    def located(self, block: Block) -> Block:
        """A block with the offsets that its rows have in the file, not in the text. To be called with every block, in order."""
        if self._lines is None:
            if not self._text.left_out:
                return block
            return _moved(block, block.offsets + self._text.left_out, [one.offset + self._text.left_out for one in block.bad])
        lines = np.array([one.line for one in block.bad], np.int64)
        moved = _moved(block, self._lines.starts_of(block.lines), self._lines.starts_of(lines).tolist())
        self._lines.forget(max([0, *block.lines[-1:].tolist(), *lines[-1:].tolist()]))
        return moved


def _moved(block: Block, offsets: Positions, of_bad: list[int]) -> Block:
    return replace(block, offsets=offsets, bad=tuple(replace(one, offset=offset) for one, offset in zip(block.bad, of_bad, strict=True)))


class _WithoutMark:
    def __init__(self, read: Read) -> None:
        self._read = read
        self._started = False
        self.left_out = 0
        """Bytes of the mark."""

    def read(self, size: int) -> bytes:
        if self._started:
            return self._read(size)
        self._started = True
        start = b""
        while len(start) < len(codecs.BOM_UTF8):
            more = self._read(size)
            if not more:
                break
            start += more
        if start.startswith(codecs.BOM_UTF8):
            self.left_out = len(codecs.BOM_UTF8)
        return start[self.left_out :] or self._read(size)


class _Transcoder:
    def __init__(self, read: Read, encoding: str, file: str) -> None:
        self._read = read
        self._encoding = encoding
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)("headrace.mark")
        self._ended = False

    def read(self, size: int) -> bytes:
        while not self._ended:
            chunk = self._read(size)
            self._ended = not chunk
            try:
                text = self._decoder.decode(chunk, final=self._ended)
            except UnicodeError:  # what a byte order cannot be told of; single characters never raise (`_mark`)
                raise TerminalError(
                    f"{self._file}, line 1, byte 0: this is not {self._encoding}: it does not begin with a byte order mark.",
                    code="BAD_ENCODING",
                    hint=f"Set `encoding` in the goal's format: {self._encoding}-le or {self._encoding}-be for a file without the mark, or what it is.",
                ) from None
            if text:
                return text.encode("utf-8", "surrogateescape")
        return b""


class _LineStarts:
    """Where each line begins in a file whose bytes are not its text's: found by the file's own line ends, noted as they are read.

    Every line end of the text is one of the file, and the other way round: a test holds all encodings to that.
    """

    def __init__(self, encoding: str) -> None:
        self._width = 2 if encoding.startswith("utf-16") else 4 if encoding.startswith("utf-32") else 1
        self._encoding = encoding
        self._unit: np.dtype[np.unsignedinteger] | None = None
        self._newline = NEWLINE if self._width > 1 else "\n".encode(encoding)[-1]  # one that begins with its mark has it last
        self._first = 1
        self._starts: Positions = np.zeros(1, np.int64)
        self._position = 0
        self._rest = b""

    def noting(self, read: Read) -> Read:
        def note(size: int) -> bytes:
            chunk = read(size)
            data = self._rest + chunk
            whole = len(data) - len(data) % self._width
            if whole:
                unit = self._unit = self._unit or self._order(data[: self._width])
                found = np.flatnonzero(np.frombuffer(data[:whole], unit) == self._newline).astype(np.int64)
                self._starts = np.concatenate((self._starts, (found + 1) * self._width + self._position))
                self._position += whole
            self._rest = data[whole:]
            return chunk

        return note

    def _order(self, first: bytes) -> np.dtype[np.unsignedinteger]:
        """One unit of the file's text; its byte order, where the encoding leaves it open, from the mark, as Python's decoders do."""
        if self._width == 1:
            return np.dtype(np.uint8)
        order = self._encoding[6:].lstrip("-_")
        if not order:
            little = first.startswith(codecs.BOM_UTF16_LE) or (
                not first.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)) and sys.byteorder == "little"
            )
            order = "le" if little else "be"
        return np.dtype(f"{'<' if order == 'le' else '>'}u{self._width}")

    def starts_of(self, lines: Positions) -> Positions:
        return self._starts[lines - self._first]

    def forget(self, before: int) -> None:
        """Lines before this one are not asked for any more."""
        if before > self._first:
            self._starts = self._starts[before - self._first :]
            self._first = before
