"""Which messages are poison, what becomes of them, and how a partition finds the one among many that is."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from headrace.errors import HeadraceError, TerminalError, TransientError, UnsupportedFormatError
from profile_store.partitions import PartitionState
from streaming.envelope import NEIGHBOUR, Header, MalformedMessageError, encode, encode_body
from streaming.neighbours import CLAIM, Telling, encode_telling
from streaming.worker.owned import OwnedPartition, Waiting
from streaming.worker.poison import Fate, fate_of, is_poison

STATE = PartitionState("shop", 1, "", 0, 0, 1, {})
ROWS = pa.record_batch({"line": pa.array([2, 3], pa.int64()), "offset": pa.array([9, 18], pa.int64())})
CLAIMS = np.zeros(1, CLAIM)


def told(telling: Telling) -> bytes:
    return encode_body(Header("shop", 1, 1, 0, "t", NEIGHBOUR, 2), encode_telling(telling))


@pytest.mark.spec("B1")
@pytest.mark.parametrize(
    ("error", "poison"),
    [
        (KeyError("x"), True),
        (MalformedMessageError("cut off"), True),
        (TransientError("away"), False),
        (UnsupportedFormatError("newer"), False),
        (TerminalError("denied", code="REDIS_DENIED"), False),
        (HeadraceError("refused", code="REDIS_REFUSED"), False),
        (MemoryError(), False),
        (OSError("no more files"), False),
    ],
    ids=lambda one: type(one).__name__,
)
def test_only_what_waiting_does_not_heal_is_poison(error: Exception, *, poison: bool) -> None:
    assert is_poison(error) is poison


@pytest.mark.parametrize(
    ("value", "fate"),
    [
        (b"garbage", Fate.SKIPPED),
        (encode(Header("shop", 1, 1, 0, "t"), ROWS), Fate.REJECTED),
        (encode(Header("shop", 1, 2, 0, "t"), ROWS), Fate.SKIPPED),
        (encode_body(Header("shop", 1, 1, 0, "t"), b"no rows"), Fate.SKIPPED),
        (encode_body(Header("shop", 1, 1, 0, "t", "news"), b""), Fate.KEPT),
        (told(Telling(rows=ROWS)), Fate.REJECTED),
        (told(Telling(claims=CLAIMS, rows=ROWS)), Fate.REJECTED),
        (told(Telling(claims=CLAIMS)), Fate.KEPT),
        (told(Telling(settled=3)), Fate.KEPT),
    ],
    ids=["garbage", "rows", "another place", "garbled rows", "unknown kind", "forwarded", "rows and claims", "claims", "answers"],
)
def test_what_becomes_of_a_message(value: bytes, fate: Fate) -> None:
    assert fate_of(value, STATE) is fate


def waiting(number: int) -> Waiting:
    return Waiting("topic", number, bytes([number]))


def test_after_a_failure_messages_are_tried_one_by_one_and_then_together_again() -> None:
    owned = OwnedPartition(0)
    owned.told.extend(waiting(number) for number in range(4))
    owned.queue.append(waiting(9))
    first, batch = owned.next_group(owned.queue[0])
    assert (len(first), batch) == (4, owned.queue[0])
    for one in (*first[:2], owned.queue[0]):
        one.suspected = True
    assert owned.next_group(owned.queue[0]) == ([first[0]], None)
    owned.drop_told(1)
    assert owned.next_group(owned.queue[0]) == ([first[1]], None)
    owned.drop_told(1)
    assert owned.next_group(owned.queue[0]) == ([], owned.queue[0])
    assert owned.next_group(None) == (first[2:], None)


def test_a_row_batch_that_waits_does_not_hold_up_what_neighbours_tell() -> None:
    owned = OwnedPartition(0)
    owned.queue.append(waiting(9))
    assert owned.has_rows
    pauses = [owned.queue[0].failed() for _ in range(12)]
    assert pauses[:5] == [0.1, 0.2, 0.4, 0.8, 1.6]
    assert pauses[-1] == 15.0
    assert owned.paused
    assert owned.ready
    assert not owned.has_rows
