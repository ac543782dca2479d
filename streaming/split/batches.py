"""Rows of one partition, gathered into row batches: cut by count and size alone, so that every split of a file cuts the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BATCH_ROWS = 5_000
BATCH_BYTES = 800_000
"""What a message takes before compression, which may not help: so it stays under Kafka's 1 MB whatever it holds."""
ROW_OVERHEAD = 32
"""Line, offset and address of a row."""
CELL_OVERHEAD = 4
"""Where a cell's text begins. Of many columns with short texts this is most of the message."""
COLUMN_OVERHEAD = 160
"""What Arrow writes about a column in every message (measured)."""


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Numbered from 0 in its partition. `rows`: line, offset (int64), address (16 bytes), then a string column for each mapped source column."""

    partition: int
    batch_no: int
    rows: pa.RecordBatch


def row_sizes(rows: pa.RecordBatch) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """What each row counts against BATCH_BYTES."""
    sizes = np.full(rows.num_rows, ROW_OVERHEAD + CELL_OVERHEAD * len(rows.columns[3:]), np.int64)
    for column in rows.columns[3:]:
        sizes += pc.binary_length(column).to_numpy(zero_copy_only=False)
    return sizes


class PartitionBatches:
    """Gathers one partition's rows, of `columns` mapped columns. Not thread-safe."""

    def __init__(self, partition: int, columns: int) -> None:
        self._partition = partition
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0
        self._empty_bytes = COLUMN_OVERHEAD * columns
        self._bytes = self._empty_bytes
        self.batches = 0

    def add(self, rows: pa.RecordBatch) -> Iterator[RowBatch]:
        """Take rows in file order; give every batch that they fill."""
        sizes = np.cumsum(row_sizes(rows))
        start = 0
        while start < rows.num_rows:
            before = int(sizes[start - 1]) if start else 0
            by_size = int(np.searchsorted(sizes, before + BATCH_BYTES - self._bytes, side="right")) - start
            room = min(BATCH_ROWS - self._rows, by_size)
            if room <= 0:
                # Only a row that is larger than what is left gets here: it opens the next batch.
                if self._rows == 0:
                    room = 1
                else:
                    yield self._cut()
                    continue
            taken = rows.slice(start, room)
            self._waiting.append(taken)
            self._rows += taken.num_rows
            start += taken.num_rows
            self._bytes += int(sizes[start - 1]) - before
            if self._rows >= BATCH_ROWS or self._bytes >= BATCH_BYTES:
                yield self._cut()

    def finish(self) -> Iterator[RowBatch]:
        if self._rows:
            yield self._cut()

    def _cut(self) -> RowBatch:
        rows = pa.concat_batches(self._waiting)
        batch = RowBatch(self._partition, self.batches, rows)
        self._waiting, self._rows, self._bytes = [], 0, self._empty_bytes
        self.batches += 1
        return batch
