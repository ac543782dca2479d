"""What a neighbour is told in several messages adds up, and nothing of it is counted before it is told (SPEC M10, R4)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streaming.merge import changes
from streaming.merge.changes import split_telling
from streaming.neighbours import CLAIM, NO_CLAIMS, Telling

MOST = 5
"""Claims in a message, for these tests."""


@pytest.fixture(autouse=True)
def _small_messages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(changes, "CLAIMS", MOST)
        patched.setattr(changes, "ROW_BYTES", 100)
        yield


def telling(claimed: int, granted: int, denied: int, erased: int, rows: int) -> Telling:
    def some(count: int) -> np.ndarray:
        return np.frombuffer(np.random.default_rng(count).bytes(count * CLAIM.itemsize), CLAIM)

    batch = pa.record_batch({"line": pa.array(range(rows), pa.int64())}) if rows else None
    return Telling(some(claimed), granted + denied, some(denied), batch, some(erased) if erased else NO_CLAIMS)


COUNTS = st.integers(0, 12)


@pytest.mark.spec("M10", "R4")
@example([telling(0, 0, 0, 0, 9), telling(0, 0, 0, 0, 9)])
@example([telling(0, 3, 12, 0, 0)])
@given(st.lists(st.builds(telling, COUNTS, COUNTS, COUNTS, st.just(0), st.sampled_from((0, 3, 9))), min_size=1, max_size=4))
def test_all_is_told_and_no_denial_is_settled_before_it(parts: list[Telling]) -> None:
    told = list(split_telling(parts))
    for name in ("claims", "denied"):
        assert b"".join(getattr(one, name).tobytes() for one in told) == b"".join(getattr(one, name).tobytes() for one in parts)
    assert sum(one.rows.num_rows for one in told if one.rows) == sum(one.rows.num_rows for one in parts if one.rows)
    assert sum(one.settled for one in told) == sum(one.settled for one in parts)
    assert all(one.settled >= len(one.denied) for one in told), "a message counts the denials that it has"
    if len(told) > 1:
        assert all(one.settled or len(one.claims) or one.rows for one in told), "nothing that nobody counts"
        assert all(len(one.claims) + len(one.denied) <= MOST for one in told)
