"""Rows become row batches that Kafka takes, whatever they hold, and the same ones however they come."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.envelope import Header, encode
from streaming.kafka import MESSAGE_BYTES
from streaming.split import batches as batches_module
from streaming.split.batches import BATCH_ROWS, PartitionBatches, RowBatch


def rows(columns: list[list[str]]) -> pa.RecordBatch:
    count = len(columns[0])
    places = pa.array(range(count), pa.int64())
    addresses = pa.array([random.Random(n).randbytes(16) for n in range(count)], pa.binary(16))
    names = ["line", "offset", "address", *map(str, range(len(columns)))]
    return pa.record_batch([places, places, addresses, *(pa.array(one, pa.string()) for one in columns)], names=names)


def gathered(pieces: Iterable[pa.RecordBatch], columns: int) -> Iterator[RowBatch]:
    partition = PartitionBatches(3, columns)
    for piece in pieces:
        yield from partition.add(piece)
    yield from partition.finish()


@pytest.mark.spec("B1")
@pytest.mark.parametrize(
    ("columns", "characters", "count"), [(1, 1, 12_000), (300, 1, 3_000), (300, 0, 2_000), (1_000, 2, 800), (1, 500_000, 3)]
)
def test_a_message_is_never_larger_than_kafka_takes(columns: int, characters: int, count: int) -> None:
    rnd = random.Random(1)
    texts = [
        ["".join(rnd.choices("abcdefghijklmnop0123456789+/", k=rnd.randint(characters // 2, characters))) for _ in range(count)]
        for _ in range(columns)
    ]
    cut = list(gathered([rows(texts)], columns))
    assert sum(batch.rows.num_rows for batch in cut) == count
    for batch in cut:
        assert len(encode(Header("d" * 64, 10**9, batch.partition, batch.batch_no), batch.rows)) < MESSAGE_BYTES - 50_000
        assert batch.rows.num_rows <= BATCH_ROWS


@settings(max_examples=150)
@given(
    st.lists(st.integers(0, 120), min_size=1, max_size=60), st.lists(st.integers(1, 9), min_size=1), st.integers(1, 9), st.integers(1, 400)
)
@pytest.mark.spec("B1")
def test_batches_are_cut_by_the_rows_alone_however_they_come(
    lengths: list[int], pieces: list[int], most_rows: int, most_bytes: int
) -> None:
    whole = rows([["x" * length for length in lengths]])
    parts: list[pa.RecordBatch] = []
    place = 0
    while place < len(lengths):
        size = pieces[len(parts) % len(pieces)]
        parts.append(whole.slice(place, size))
        place += size
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches_module, "BATCH_ROWS", most_rows)
        patch.setattr(batches_module, "BATCH_BYTES", most_bytes + batches_module.COLUMN_OVERHEAD)
        at_once, in_parts = list(gathered([whole], 1)), list(gathered(parts, 1))
    assert [(one.batch_no, one.rows.to_pylist()) for one in in_parts] == [(one.batch_no, one.rows.to_pylist()) for one in at_once]
    assert [one.batch_no for one in at_once] == list(range(len(at_once)))
    assert pa.Table.from_batches([one.rows for one in at_once]).to_pylist() == whole.to_pylist()
    assert all(0 < one.rows.num_rows <= most_rows for one in at_once)
