"""The bits of imported profiles, as a worker keeps and sends them: R3 against a set, with writes that get lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profile_store.seen import NEAR, SeenProfiles, Span

NUMBERS = st.one_of(st.integers(0, 40), st.integers(0, 3 * 8 * NEAR), st.integers(0, 200_000))


def as_redis_writes(bits: bytearray, spans: tuple[Span, ...]) -> None:
    """SETRANGE."""
    for first, part in spans:
        bits.extend(bytes(max(0, first + len(part) - len(bits))))
        bits[first : first + len(part)] = part


def numbers_in(bits: bytes) -> set[int]:
    return set(np.flatnonzero(np.unpackbits(np.frombuffer(bits, np.uint8))).tolist())


@pytest.mark.spec("R3")
@given(st.lists(st.tuples(st.lists(NUMBERS, max_size=30), st.sampled_from(["written", "written", "refused", "read again"])), max_size=12))
def test_whatever_is_imported_when_each_number_is_there_and_no_other(groups: list[tuple[list[int], str]]) -> None:
    seen, redis, oracle = SeenProfiles("crm"), bytearray(), set[int]()
    for numbers, what in groups:
        spans = seen.spans_with(np.array(numbers, np.int64))
        assert bool(spans) == bool(set(numbers) - oracle), "nothing is sent where nothing is new"
        if what == "refused":
            continue
        as_redis_writes(redis, spans)
        seen.write(spans)
        oracle |= set(numbers)
        assert numbers_in(bytes(redis)) == oracle
        if what == "read again":
            seen = SeenProfiles("crm", np.frombuffer(bytes(redis), np.uint8).copy())
    assert numbers_in(seen.bits.tobytes()) == oracle


def test_new_profiles_are_one_span_and_known_ones_none() -> None:
    seen = SeenProfiles("crm")
    for first in range(0, 20_000, 5_000):
        numbers = np.arange(first, first + 5_000)
        [span] = spans = seen.spans_with(numbers)
        assert span[0] == first // 8
        assert len(span[1]) == 625
        seen.write(spans)
        assert seen.spans_with(np.random.default_rng(first).permutation(numbers)) == ()


def test_changes_far_apart_are_sent_apart() -> None:
    far = np.array([0, 8 * NEAR, 80 * NEAR, 80 * NEAR + 1], np.int64)
    assert SeenProfiles("crm").spans_with(far) == ((0, b"\x80" + bytes(NEAR - 1) + b"\x80"), (10 * NEAR, b"\xc0"))
