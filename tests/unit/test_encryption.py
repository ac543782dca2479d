"""What lies encrypted in S3 is read back as it was, and nothing else is (SPEC U5)."""

from __future__ import annotations

import io
import os

import pytest

from headrace.errors import TerminalError
from object_store.encryption import PIECE_BYTES, Decrypted, Encryption

KEY = bytes(range(32))
SIZES = [0, 1, 1000, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES, 3 * PIECE_BYTES + 17]


def encrypted(data: bytes, key: bytes = KEY, step: int = 300_000) -> bytes:
    encryption = Encryption(key)
    pieces = [encryption.update(data[start : start + step]) for start in range(0, len(data), step)]
    return b"".join([*pieces, encryption.finish()])


def decrypted(data: bytes, key: bytes = KEY) -> bytes:
    class Trickle(io.RawIOBase):
        """A stream that gives less than is asked for."""

        def __init__(self) -> None:
            self._source = io.BytesIO(data)

        def read(self, size: int = -1) -> bytes:
            return self._source.read(min(size, 123_457))

    with io.BufferedReader(Decrypted(Trickle(), key, "s3://b/k")) as stream:
        return stream.read()


@pytest.mark.parametrize("size", SIZES)
def test_what_was_encrypted_is_read_back(size: int) -> None:
    data = os.urandom(size)
    assert decrypted(encrypted(data)) == data


def test_no_two_objects_of_a_key_are_alike_and_none_shows_what_it_holds() -> None:
    data = b"asset_id,asset_name\n" * 1000
    first, second = encrypted(data), encrypted(data)
    assert first[20:] != second[20:]
    assert b"asset" not in first


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[: 20 + PIECE_BYTES + 16],
        lambda data: data[:20] + data[20 + PIECE_BYTES + 16 :],
        lambda data: data[:500] + bytes([data[500] ^ 1]) + data[501:],
        lambda data: data[:10] + bytes([data[10] ^ 1]) + data[11:],
        lambda data: b"plain,text\n1,2\n",
        lambda data: b"",
    ],
    ids=["cut off", "longer", "a piece less at the end", "a piece less at the beginning", "a bit", "a bit of the salt", "plain", "nothing"],
)
def test_what_was_changed_is_refused(change: object) -> None:
    data = encrypted(os.urandom(2 * PIECE_BYTES + 5))
    assert callable(change)
    with pytest.raises(TerminalError, match="CORRUPT"):
        decrypted(change(data))


def test_another_key_reads_nothing() -> None:
    with pytest.raises(TerminalError, match="CORRUPT"):
        decrypted(encrypted(b"secret"), bytes(32))
