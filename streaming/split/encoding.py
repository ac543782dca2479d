"""Bytes in any encoding as UTF-8 without a byte order mark (SPEC I11)."""

from __future__ import annotations

import codecs
from collections.abc import Callable

Read = Callable[[int], bytes]
"""`read(n)`: at least one byte and about `n`; b"" at the end."""

_BAD_BYTE = "\udcff"


def _mark(error: UnicodeError) -> tuple[str, int]:
    """What can't be decoded becomes bytes that are never UTF-8, so that its row, and no other, is rejected."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return _BAD_BYTE, error.end


codecs.register_error("headrace.mark", _mark)


def utf8(read: Read, encoding: str) -> Read:
    """A `read` that gives UTF-8. UTF-8 itself passes unchecked (the table reader checks each block), its byte order mark apart."""
    name = codecs.lookup(encoding).name
    return _WithoutMark(read if name in ("utf-8", "utf-8-sig", "ascii") else _Transcoder(read, name).read).read


class _WithoutMark:
    def __init__(self, read: Read) -> None:
        self._read = read
        self._started = False

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
        start = start.removeprefix(codecs.BOM_UTF8)
        return start or self._read(size)


class _Transcoder:
    def __init__(self, read: Read, encoding: str) -> None:
        self._read = read
        self._decoder = codecs.getincrementaldecoder(encoding)("headrace.mark")
        self._ended = False

    def read(self, size: int) -> bytes:
        while not self._ended:
            chunk = self._read(size)
            self._ended = not chunk
            text = self._decoder.decode(chunk, final=self._ended)
            if text:
                return text.encode("utf-8", "surrogateescape")
        return b""
