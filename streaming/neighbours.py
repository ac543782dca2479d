"""What one partition tells another: the body of a `neighbour` message, and of an order to erase (DESIGN §2, Outbox, Claims, Erasure). And that of an
order to expire: a range of profile numbers.

Four parts, any of them empty, in this order: claims, denied claims (as CLAIM has them), erasures (ERASURE), rows that are forwarded (Arrow IPC, lz4),
and before them their lengths. `settled` counts the claims that this message answers, the denied ones among them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streaming.envelope import MalformedMessageError, decode_rows, encode_rows

CLAIM = np.dtype([("address", "V16"), ("profile", "V16"), ("line", "<i8"), ("offset", "<i8"), ("binding", "<u2")])
"""An identifier's address, wanted for a profile: which cell of the file says so (line, byte offset, index into the plan's bindings)."""
Claims = npt.NDArray[np.void]
NO_CLAIMS: Claims = np.empty(0, CLAIM)
ERASURE = np.dtype([("address", "V16"), ("profile", "V16"), ("suppress", "u1")])
"""The profile at `address` is to be erased, where both are the same; else an address of a profile that is being erased. `suppress` 1: for good."""
NO_ERASURES: Claims = np.empty(0, ERASURE)
_LENGTHS = struct.Struct(">IIIII")


def erasure(address: bytes, profile: bytes, suppress: int) -> Claims:
    """One of them."""
    return np.array([(address, profile, suppress)], ERASURE)


@dataclass(frozen=True, slots=True)
class Telling:
    """`rows`: forwarded ones, whose `address` is the profile identifier that their own address points to; None for none."""

    claims: Claims = field(default_factory=lambda: NO_CLAIMS)
    settled: int = 0
    denied: Claims = field(default_factory=lambda: NO_CLAIMS)
    rows: pa.RecordBatch | None = None
    erasures: Claims = field(default_factory=lambda: NO_ERASURES)


def encode_telling(telling: Telling) -> bytes:
    claims, denied, erasures = telling.claims.tobytes(), telling.denied.tobytes(), telling.erasures.tobytes()
    rows = b"" if telling.rows is None else encode_rows(telling.rows)
    lengths = _LENGTHS.pack(len(claims), telling.settled, len(denied), len(erasures), len(rows))
    return b"".join((lengths, claims, denied, erasures, rows))


@dataclass(frozen=True, slots=True)
class NumberRange:
    """The profiles of a partition with numbers from `first` up to `end`, which is not among them; those go that were to be kept until `before` at most."""

    first: int
    end: int
    before: int


_RANGE = struct.Struct(">QQQ")


def encode_range(one: NumberRange) -> bytes:
    return _RANGE.pack(one.first, one.end, one.before)


def decode_range(body: memoryview) -> NumberRange:
    """Raises MalformedMessageError."""
    if len(body) != _RANGE.size:
        raise MalformedMessageError("it names no range of profiles")
    return NumberRange(*_RANGE.unpack(body))


def decode_telling(body: memoryview) -> Telling:
    """Raises MalformedMessageError."""
    try:
        claims, settled, denied, erasures, rows = _LENGTHS.unpack_from(body)
    except struct.error as error:
        raise MalformedMessageError("shorter than what a neighbour says") from error
    rest = body[_LENGTHS.size :]
    if claims + denied + erasures + rows != len(rest) or claims % CLAIM.itemsize or denied % CLAIM.itemsize or erasures % ERASURE.itemsize:
        raise MalformedMessageError("it is cut off, or longer than it says")

    def part(start: int, size: int, kind: np.dtype[np.void]) -> Any:
        return np.frombuffer(rest[start : start + size], kind)

    before_rows = claims + denied + erasures
    return Telling(
        part(0, claims, CLAIM),
        settled,
        part(claims, denied, CLAIM),
        decode_rows(rest[before_rows:]) if rows else None,
        part(claims + denied, erasures, ERASURE),
    )
