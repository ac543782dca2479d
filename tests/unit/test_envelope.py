"""The message: what it carries comes back, and what is not one of ours, or newer than us, is told apart."""

from __future__ import annotations

import json
import struct
from contextlib import suppress

import pyarrow as pa
import pytest

from headrace.errors import UnsupportedFormatError
from streaming.envelope import MESSAGE_FORMAT, Header, MalformedMessageError, decode, decode_header, encode

HEADER = Header("retail", 7, 3, 11)
ROWS = pa.record_batch(
    [pa.array([2, 3], pa.int64()), pa.array([b"a" * 16, b"b" * 16], pa.binary(16)), pa.array(["x", "é\n\x1f"])],
    names=["line", "address", "0"],
)


def packed(header: bytes, number: int = MESSAGE_FORMAT, magic: bytes = b"HR", body: bytes = b"") -> bytes:
    return struct.pack(">2sBI", magic, number, len(header)) + header + body


def header_with(**changed: object) -> bytes:
    said: dict[str, object] = {
        "domain": "retail",
        "import_seq": 7,
        "partition": 3,
        "number": 11,
        "token": "c0ffee",
        "kind": "rows",
        "source": 0,
    }
    said |= changed
    return json.dumps({name: value for name, value in said.items() if value is not ...}).encode()


def test_a_message_comes_back_as_it_was() -> None:
    message = decode(encode(HEADER, ROWS))
    assert message.header == HEADER
    assert message.rows.equals(ROWS)
    assert decode_header(encode(HEADER, ROWS))[0] == HEADER


def test_no_rows_come_back_too() -> None:
    assert decode(encode(HEADER, ROWS.slice(0, 0))).rows.num_rows == 0


@pytest.mark.parametrize("number", [MESSAGE_FORMAT + 1, 255])
def test_a_newer_format_is_refused_before_anything_else_is_read(number: int) -> None:
    with pytest.raises(UnsupportedFormatError, match=f"format {number}"):
        decode_header(packed(b"\xff not a header", number))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"HR",
        b"garbage that is long enough",
        packed(header_with(), magic=b"XX"),
        packed(header_with(), number=0),
        packed(b"not JSON"),
        packed(b"\xff\xfe"),
        packed(b"[]"),
        packed(b"7"),
        packed(b"null"),
        packed(header_with(domain=...)),
        packed(header_with(number=...)),
        packed(header_with(import_seq="7")),
        packed(header_with(import_seq=7.5)),
        packed(header_with(import_seq=True)),
        packed(header_with(partition=None)),
        packed(header_with(number=-1)),
        packed(header_with(domain=5)),
        packed(header_with(token=None)),
        packed(header_with(source=...)),
        packed(header_with(kind=["rows"])),
        packed(header_with())[:-1],
        struct.pack(">2sBI", b"HR", MESSAGE_FORMAT, 2**32 - 1) + header_with(),
    ],
)
def test_what_is_not_a_message_is_malformed(value: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        decode_header(value)


def test_a_header_as_they_are_made_here_is_one() -> None:
    assert decode_header(packed(header_with())) == (Header("retail", 7, 3, 11, "c0ffee"), len(packed(header_with())))


@pytest.mark.parametrize("cut", [20, 100, 300])
def test_rows_cut_off_are_malformed(cut: int) -> None:
    value = encode(HEADER, ROWS)
    with pytest.raises(MalformedMessageError):
        decode(value[:-cut])


def test_rows_that_are_not_arrow_are_malformed() -> None:
    with pytest.raises(MalformedMessageError):
        decode(packed(header_with(), body=b"\x00" * 64))
    with pytest.raises(MalformedMessageError):
        decode(packed(header_with()))


@pytest.mark.parametrize("place", range(0, 1200, 37))
def test_a_flipped_byte_ends_in_no_other_error(place: int) -> None:
    """Kafka's own checksums see to it that there is none; whatever it is, nothing but these may come of it. A length gone wild asks for memory."""
    value = bytearray(encode(HEADER, ROWS))
    value[place % len(value)] ^= 0x55
    with suppress(MalformedMessageError, UnsupportedFormatError, MemoryError):
        decode(bytes(value))
