"""Decompresses a stream as it is read: gzip and zstd, of any number of members, by what the bytes are, not by the name (SPEC I11).

Memory is bounded by the read sizes here and zstd's window, however much a small file expands to. A file that was cut off or damaged is
never taken for a whole one: what could be read is delivered, then the read that meets the damage raises.
"""

from __future__ import annotations

import io
import zlib
from typing import Any

import pyarrow as pa

from headrace.errors import TerminalError, UnsupportedFormatError

_CHUNK = 1 << 16
"""Compressed bytes asked for at a time. Small, because zlib copies what is left of it at the end of each member."""
_HEAD = 512
"""Bytes that the decision is made on."""

GZIP_MAGIC = b"\x1f\x8b\x08"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_MAGICS = (ZSTD_MAGIC, *(bytes([0x50 + i]) + b"\x2a\x4d\x18" for i in range(16)))  # skippable frames have 16 of them
_REFUSED = {
    b"PK\x03\x04": "a zip archive (or a spreadsheet, which is one)",
    b"PK\x05\x06": "an empty zip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a rar archive",
    b"\xfd7zXZ\x00": "compressed with xz",
    b"\x04\x22\x4d\x18": "compressed with lz4",
}
_BZIP2_BLOCK = b"\x31\x41\x59\x26\x53\x59"  # after "BZh" and a digit, which alone could be the start of a text
_EXTENSIONS = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd"}
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\x1a")


def decompressed(raw: io.RawIOBase, name: str) -> io.RawIOBase:
    """`raw` as plain bytes. `name` (s3://bucket/key) is for the messages and the extension; closing the result closes `raw`.

    UnsupportedFormatError for zip and its like. TerminalError TRUNCATED where the file was cut off, CORRUPT where it is damaged; both
    are raised by the read that gets there.
    """
    try:
        head = _read_head(raw)
        if not head.startswith((GZIP_MAGIC, *_ZSTD_MAGICS)):
            _refuse_unreadable(head, name)
    except BaseException:
        raw.close()
        raise
    whole = _Replayed(head, raw)
    if head.startswith(GZIP_MAGIC):
        return _Gzip(whole, name)
    if head.startswith(_ZSTD_MAGICS):
        return _Zstd(whole, name)
    return whole


def _read_head(raw: io.RawIOBase) -> bytes:
    head = b""
    while len(head) < _HEAD and (more := raw.read(_HEAD - len(head))):
        head += more
    return head


def _refuse_unreadable(head: bytes, name: str) -> None:
    """Refuses what is neither text nor a compression that is read here."""
    for magic, what in _REFUSED.items():
        if head.startswith(magic):
            raise _unsupported(name, what)
    if head.startswith(b"BZh") and head[4:10] == _BZIP2_BLOCK:
        raise _unsupported(name, "compressed with bzip2")
    expected = next((kind for extension, kind in _EXTENSIONS.items() if name.lower().endswith(extension)), None)
    if expected is None:
        return
    if not head or (GZIP_MAGIC if expected == "gzip" else ZSTD_MAGIC).startswith(head):
        raise _truncated(name, len(head))
    # A file that was unpacked on its way and kept its name is read as it is; damaged bytes are not.
    if not _looks_like_text(head):
        raise TerminalError(
            f"{name} is named as {expected}, but its first bytes are neither {expected} nor text.", code="CORRUPT", hint=_AGAIN
        )


def _looks_like_text(head: bytes) -> bool:
    return head.startswith(_BYTE_ORDER_MARKS) or not any(byte < 0x20 and byte not in _TEXT_CONTROLS for byte in head)


class _Replayed(io.RawIOBase):
    """A stream whose first bytes were read already: gives them first."""

    def __init__(self, head: bytes, raw: io.RawIOBase) -> None:
        super().__init__()
        self._head = head
        self._raw = raw
        self.position = 0
        """Bytes given so far."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        if self._head:
            count = min(len(view), len(self._head))
            view[:count] = self._head[:count]
            self._head = self._head[count:]
        else:
            count = self._raw.readinto(view) or 0
        self.position += count
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Gzip(io.RawIOBase):
    """The members of a gzip file, one after the other. Their checksums and lengths are verified by zlib at each member's end."""

    def __init__(self, source: _Replayed, name: str) -> None:
        super().__init__()
        self._source = source
        self._name = name
        self._member = zlib.decompressobj(wbits=31)
        self._pending = b""
        self._between_members = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        if not len(view):
            return 0
        while True:
            if not self._pending:
                self._pending = self._source.read(_CHUNK) or b""
            if self._between_members and not self._next_member():
                return 0
            data = self._decompress(len(view))
            if data:
                view[: len(data)] = data
                return len(data)

    def close(self) -> None:
        self._source.close()
        super().close()

    def _next_member(self) -> bool:
        """Starts the member at the head of `_pending`; False at the end of the file. Zeros after the last member are padding."""
        while True:
            self._pending = self._pending.lstrip(b"\0")
            if self._pending:
                break
            self._pending = self._source.read(_CHUNK) or b""
            if not self._pending:
                return False
        self._member = zlib.decompressobj(wbits=31)
        self._between_members = False
        return True

    def _decompress(self, at_most: int) -> bytes:
        """Up to `at_most` bytes, maybe none though there are more to come."""
        at_end = not self._pending
        try:
            data = self._member.decompress(self._pending, at_most)
        except zlib.error as error:
            raise _corrupt(self._name, self._source.position - len(self._pending), str(error)) from None
        if self._member.eof:
            self._pending = self._member.unused_data
            self._between_members = True
        else:
            self._pending = self._member.unconsumed_tail
            if at_end and not data:
                raise _truncated(self._name, self._source.position)
        return data


class _Zstd(io.RawIOBase):
    """The frames of a zstd file, by Arrow: it reads many of them, skippable ones too, and tells a cut file. (A test holds it to that.)"""

    def __init__(self, source: _Replayed, name: str) -> None:
        super().__init__()
        self._source = source
        self._name = name
        self._stream = pa.CompressedInputStream(pa.PythonFile(source, mode="r"), "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            return int(self._stream.readinto(memoryview(buffer).cast("B")))
        except OSError as error:
            raise self._explained(str(error)) from None

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._source.close()
        super().close()

    def _explained(self, reason: str) -> TerminalError:
        if "Truncated" in reason:
            return _truncated(self._name, self._source.position)
        if "requires too much memory" in reason:
            message = f"{self._name} was compressed with a window of more than 128 MB."
            return UnsupportedFormatError(message, hint="Compress it again with at most --long=27.")
        return _corrupt(self._name, self._source.position, reason)


_AGAIN = "Upload the file again."


def _truncated(name: str, position: int) -> TerminalError:
    message = f"{name} ends in the middle of its compressed data, after {position} bytes: it was cut off."
    return TerminalError(message, code="TRUNCATED", hint=_AGAIN)


def _corrupt(name: str, position: int, reason: str) -> TerminalError:
    return TerminalError(
        f"{name} is damaged: its compressed data can't be read at or before byte {position} ({reason}).", code="CORRUPT", hint=_AGAIN
    )


def _unsupported(name: str, what: str) -> UnsupportedFormatError:
    return UnsupportedFormatError(f"{name} is {what}, which is not read.", hint="Unpack it first, or use gzip or zstd.")
