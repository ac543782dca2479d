"""Rejects come out in file order, whatever the order in which partitions decided them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headrace.outcomes import Reason, Reject
from streaming.importing.write_rejects import in_file_order
from streaming.merge.changes import encode_rejects, first_offset

OFFSETS = st.lists(st.lists(st.integers(0, 10**12), min_size=1, max_size=6), max_size=12)


@given(OFFSETS)
def test_payloads_that_overlap_are_merged(offsets: list[list[int]]) -> None:
    payloads = [
        [Reject(line, offset, 'a "column", or so', Reason.IDENTIFIER_CONFLICT) for line, offset in enumerate(one)] for one in offsets
    ]
    merged = list(in_file_order(map(encode_rejects, payloads)))
    assert [one.offset for one in merged] == sorted(offset for one in offsets for offset in one)
    assert sorted(merged, key=repr) == sorted((reject for one in payloads for reject in one), key=repr)
    assert [first_offset(encode_rejects(one)) for one in payloads] == [min(one) for one in offsets]
