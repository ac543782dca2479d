"""The message: a row batch, or what one partition tells another, in one Kafka message (DESIGN §2).

    "HR" · format number (1 byte) · length of the header (4 bytes, big-endian) · header (JSON) · body

The header says which import (number and token), for which partition, which number in its row of messages, and the kind of the body:
`rows` (Arrow IPC stream, lz4; see `streaming.split.batches`), `neighbour`, `erase` and `expire` (`streaming.neighbours`). A newer format is refused before
anything else is read.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, fields

import pyarrow as pa

from headrace.errors import TerminalError, UnsupportedFormatError

MESSAGE_FORMAT = 1
_MAGIC = b"HR"
_HEAD = struct.Struct(">2sBI")
LEAST_COMPRESSED = 200_000
"""Bytes of rows. Each column is compressed by itself: of a few rows that takes fifteen times as long as writing them, and gains a quarter."""
ROWS, NEIGHBOUR, ERASE, EXPIRE = "rows", "neighbour", "erase", "expire"
_TEXTS, _NUMBERS = ("domain", "kind", "token"), ("import_seq", "partition", "number", "source")


class MalformedMessageError(TerminalError):
    """Bytes that no release of Headrace wrote, or in a place where it did not put them."""

    code = "MALFORMED_MESSAGE"

    def __init__(self, what: str) -> None:
        super().__init__(f"A message can't be read: {what}.", hint="Find out who else writes to the topic.")


@dataclass(frozen=True, slots=True)
class Header:
    """`number`: of the row batch in its import and partition, or of the message among those from `source` to `partition`, ever.

    `token`: of the import's registration. `source`: the partition that tells; of a row batch, its own.
    """

    domain: str
    import_seq: int
    partition: int
    number: int
    token: str = ""
    kind: str = ROWS
    source: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    header: Header
    rows: pa.RecordBatch


_HEADER = tuple(sorted(one.name for one in fields(Header)))


def encode(header: Header, rows: pa.RecordBatch) -> bytes:
    return encode_body(header, encode_rows(rows))


def encode_body(header: Header, body: bytes) -> bytes:
    described = json.dumps({name: getattr(header, name) for name in _HEADER}, separators=(",", ":")).encode()
    return _HEAD.pack(_MAGIC, MESSAGE_FORMAT, len(described)) + described + body


def encode_rows(rows: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    compression = "lz4" if rows.nbytes > LEAST_COMPRESSED else None
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_batch(rows)
    return bytes(sink.getvalue())


def decode_header(value: bytes) -> tuple[Header, int]:
    """The header, and where the rows begin. Raises UnsupportedFormatError for a newer format, MalformedMessageError for anything else."""
    try:
        magic, number, size = _HEAD.unpack_from(value)
    except struct.error as error:
        raise MalformedMessageError("shorter than a message's head") from error
    if magic != _MAGIC:
        raise MalformedMessageError("does not begin as a message of Headrace")
    if number > MESSAGE_FORMAT:
        raise UnsupportedFormatError(
            f"A message has format {number}; this release reads {MESSAGE_FORMAT}.",
            hint="A newer Headrace published it: upgrade this worker.",
        )
    if number < 1:
        raise MalformedMessageError(f"no message has format {number}")
    start = _HEAD.size + size
    if start > len(value):
        raise MalformedMessageError("its header is cut off")
    try:
        data = json.loads(value[_HEAD.size : start])
        texts, numbers = [data[name] for name in _TEXTS], [data[name] for name in _NUMBERS]
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedMessageError("its header is not one") from error
    if not all(isinstance(one, str) for one in texts) or any(type(one) is not int or one < 0 for one in numbers):
        raise MalformedMessageError("its header says what no header says")
    return Header(**dict(zip((*_TEXTS, *_NUMBERS), (*texts, *numbers), strict=True))), start


def decode(value: bytes) -> Message:
    header, start = decode_header(value)
    return Message(header, decode_rows(memoryview(value)[start:]))


def decode_rows(body: memoryview) -> pa.RecordBatch:
    try:
        with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
            return reader.read_next_batch()
    except (pa.ArrowException, StopIteration, OSError) as error:
        raise MalformedMessageError("its rows can't be read") from error
