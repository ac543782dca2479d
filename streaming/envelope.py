"""The message: a row batch in one Kafka message (DESIGN §2).

    "HR" · format number (1 byte) · length of the header (4 bytes, big-endian) · header (JSON) · rows (Arrow IPC stream, lz4)

The header: domain, import_seq, partition, batch_no, kind ("rows"), splitter. A newer format is refused before anything else is read.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass

import pyarrow as pa

from headrace.errors import TerminalError, UnsupportedFormatError

MESSAGE_FORMAT = 1
_MAGIC = b"HR"
_HEAD = struct.Struct(">2sBI")
_FIELDS = ("domain", "kind", "import_seq", "partition", "batch_no")


class MalformedMessageError(TerminalError):
    """Bytes that no release of Headrace wrote, or in a place where it did not put them."""

    code = "MALFORMED_MESSAGE"

    def __init__(self, what: str) -> None:
        super().__init__(f"A message can't be read: {what}.", hint="Find out who else writes to the topic.")


@dataclass(frozen=True, slots=True)
class Header:
    domain: str
    import_seq: int
    partition: int
    batch_no: int
    kind: str = "rows"


@dataclass(frozen=True, slots=True)
class Message:
    header: Header
    rows: pa.RecordBatch


def encode(header: Header, rows: pa.RecordBatch) -> bytes:
    described = json.dumps(
        {
            "batch_no": header.batch_no,
            "domain": header.domain,
            "import_seq": header.import_seq,
            "kind": header.kind,
            "partition": header.partition,
        },
        separators=(",", ":"),
    ).encode()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_batch(rows)
    body: bytes = sink.getvalue().to_pybytes()
    return _HEAD.pack(_MAGIC, MESSAGE_FORMAT, len(described)) + described + body


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
        domain, kind, *numbers = [data[name] for name in _FIELDS]
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedMessageError("its header is not one") from error
    if not (isinstance(domain, str) and isinstance(kind, str)) or any(type(one) is not int or one < 0 for one in numbers):
        raise MalformedMessageError("its header says what no header says")
    import_seq, partition, batch_no = numbers
    return Header(domain, import_seq, partition, batch_no, kind), start


def decode(value: bytes) -> Message:
    header, start = decode_header(value)
    try:
        with pa.ipc.open_stream(pa.py_buffer(memoryview(value)[start:])) as reader:
            return Message(header, reader.read_next_batch())
    except (pa.ArrowInvalid, StopIteration, OSError) as error:
        raise MalformedMessageError("its rows can't be read") from error
