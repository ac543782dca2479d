"""A file that lies in S3 unreadable without its key, on any S3 server (SPEC U5, docs/adr/0022).

    "HRE1" · salt (16 bytes) · pieces: AES-256-GCM of 1 MiB each, the last one shorter, its tag (16 bytes) behind it

Each object has a key of its own, made of the given one and the salt, so that a key may encrypt several objects. A piece's nonce is its number and whether
it is the last one: none can be left out, moved, or cut off unseen.
"""

from __future__ import annotations

import io
import os
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from headrace.errors import TerminalError

KEY_BYTES = 32
PIECE_BYTES = 1 << 20
_MAGIC = b"HRE1"
_SALT_BYTES, _TAG_BYTES = 16, 16


class Encryption:
    """Bytes in, bytes of the encrypted object out. For one object; at most a piece is held."""

    def __init__(self, key: bytes) -> None:
        salt = os.urandom(_SALT_BYTES)
        self._cipher = _cipher(key, salt)
        self._head = _MAGIC + salt
        self._waiting = bytearray()
        self._number = 0

    def update(self, data: bytes) -> bytes:
        """What can be written by now; it may be nothing."""
        self._waiting += data
        written, self._head = self._head, b""
        # One piece always waits: it may be the last.
        while len(self._waiting) > PIECE_BYTES:
            written += self._piece(bytes(self._waiting[:PIECE_BYTES]), last=False)
            del self._waiting[:PIECE_BYTES]
        return written

    def finish(self) -> bytes:
        """The rest."""
        return self._head + self._piece(bytes(self._waiting), last=True)

    def _piece(self, data: bytes, *, last: bool) -> bytes:
        nonce = _nonce(self._number, last=last)
        self._number += 1
        return self._cipher.encrypt(nonce, data, None)


class Decrypted(io.RawIOBase):
    """The bytes that were encrypted into `stream`, which is closed with this. Not seekable.

    Raises TerminalError CORRUPT before it gives a byte that was not written with this key, in this place; and whatever `stream` raises.
    """

    def __init__(self, stream: io.RawIOBase, key: bytes, name: str) -> None:
        super().__init__()
        self._stream = stream
        self._key = key
        self.name = name
        self._cipher: AESGCM | None = None
        self._number = 0
        self._encrypted = bytearray()
        self._plain = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        while not self._plain and not self._ended:
            self._plain = memoryview(self._next_piece())
        count = min(len(view), len(self._plain))
        view[:count] = self._plain[:count]
        self._plain = self._plain[count:]
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()

    def _next_piece(self) -> bytes:
        if self._cipher is None:
            head = self._take(len(_MAGIC) + _SALT_BYTES)
            if not head.startswith(_MAGIC) or len(head) < len(_MAGIC) + _SALT_BYTES:
                raise self._corrupt()
            self._cipher = _cipher(self._key, head[len(_MAGIC) :])
        piece = self._take(PIECE_BYTES + _TAG_BYTES)
        self._ended = not self._fill(1)
        try:
            plain = self._cipher.decrypt(_nonce(self._number, last=self._ended), piece, None)
        except InvalidTag:
            raise self._corrupt() from None
        self._number += 1
        return plain

    def _take(self, size: int) -> bytes:
        self._fill(size)
        taken = bytes(self._encrypted[:size])
        del self._encrypted[:size]
        return taken

    def _fill(self, size: int) -> bool:
        """Whether so many bytes are there."""
        while len(self._encrypted) < size:
            more = self._stream.read(PIECE_BYTES)
            if not more:
                return False
            self._encrypted += more
        return True

    def _corrupt(self) -> TerminalError:
        return TerminalError(
            f"{self.name} is not what was uploaded, or was encrypted with another key.", code="CORRUPT", hint="Upload the file again."
        )


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes")
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, b"headrace upload").derive(key))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
