"""Which messages are poison, and what becomes of each (DESIGN §2, Poison)."""

from __future__ import annotations

from enum import Enum, auto

from headrace.errors import HeadraceError, UnsupportedFormatError
from profile_store.partitions import PartitionState
from streaming.envelope import EXPIRE, ROWS, MalformedMessageError, decode_header, decode_rows
from streaming.neighbours import decode_range, decode_telling
from streaming.worker.batch import check_place

ATTEMPTS = 5
"""So often a message is tried alone before it is given up."""


class Fate(Enum):
    """What becomes of a message that is given up."""

    SKIPPED = auto()
    """It does not decode: nothing says which rows it had, or whose turn it was. If it was ours, the flow or the outbox publishes it again."""
    REJECTED = auto()
    """Its rows are rejected, each by line and offset."""
    KEPT = auto()
    """It stays, and its partition waits: a newer release has to read it, or it says what nobody can say for it. An unanswered claim blocks its import,
    which is told; a lost one would leave a value that nobody holds."""


def is_poison(error: Exception) -> bool:
    """Whether the message is at fault, or what we do with it; never an outage, a refusal of Redis', or a format that is newer than this release."""
    if isinstance(error, HeadraceError):
        return isinstance(error, MalformedMessageError)
    return not isinstance(error, (OSError, MemoryError))


def fate_of(value: bytes, state: PartitionState) -> Fate:
    try:
        header, start = decode_header(value)
        check_place(header, state)
        body = memoryview(value)[start:]
        if header.kind == EXPIRE:
            decode_range(body)
            return Fate.KEPT
        rows = decode_rows(body) if header.kind == ROWS else decode_telling(body).rows
    except (UnsupportedFormatError, OSError, MemoryError):
        return Fate.KEPT
    except Exception:  # noqa: BLE001 - a bug of decoding is as good as bytes that are no message
        return Fate.SKIPPED
    return Fate.KEPT if rows is None else Fate.REJECTED
