"""What a partition's owner sends of a bitmap, against a set of numbers (SPEC B7)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profile_store.bitmaps import DENSE, Bitmap

NEAR, FAR = 40, 8 * DENSE * 100
CHANGES = st.one_of(*(st.dictionaries(st.integers(0, most), st.booleans(), max_size=20) for most in (NEAR, FAR)))


@pytest.mark.spec("B7")
@given(st.lists(CHANGES, max_size=6))
def test_each_profile_is_a_member_or_not_as_wanted_near_or_far(changes: list[dict[int, bool]]) -> None:
    bitmap, members = Bitmap("key"), set[int]()
    for wanted in changes:
        spans = bitmap.spans_putting(np.array(list(wanted), np.int64), np.array(list(wanted.values()), bool))
        after = (members | {number for number, is_wanted in wanted.items() if is_wanted}) - {
            n for n, is_wanted in wanted.items() if not is_wanted
        }
        assert bool(spans) == (after != members), "nothing is sent where nothing changes"
        bitmap.write(spans)
        members = after
        assert set(np.flatnonzero(np.unpackbits(bitmap.bits)).tolist()) == members
