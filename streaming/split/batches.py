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
LINK = "link"
"""The column that says which link each row used, where a plan has several."""
ROW_OVERHEAD = 32
"""Line, offset and address of a row."""
LINK_OVERHEAD = 1
CELL_OVERHEAD = 4
"""Where a cell's text begins. Of many columns with short texts this is most of the message."""
COLUMN_OVERHEAD = 160
"""What Arrow writes about a column in every message (measured)."""


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Numbered from 0 in its partition. `rows`: line, offset (int64), address (16 bytes), then a string column for each of the plan's columns.

    Where the plan has several links, `link` (int8) stands behind the address: the place of the link that the row used.
    """

    partition: int
    batch_no: int
    rows: pa.RecordBatch


Sizes = np.ndarray[tuple[int], np.dtype[np.int64]]


def row_sizes(rows: pa.RecordBatch) -> Sizes:
    """What each row counts against BATCH_BYTES."""
    says_link = LINK in rows.schema.names
    texts = rows.columns[3 + says_link :]
    sizes = np.full(rows.num_rows, ROW_OVERHEAD + LINK_OVERHEAD * says_link + CELL_OVERHEAD * len(texts), np.int64)
    for column in texts:
        sizes += pc.binary_length(column).to_numpy(zero_copy_only=False)
    return sizes


class PartitionBatches:
    """Gathers one partition's rows, of `columns` columns besides line, offset and address. Not thread-safe."""

    def __init__(self, partition: int, columns: int) -> None:
        self._partition = partition
        self._waiting: list[pa.RecordBatch] = []
        self._ours = 0
        self._rows = 0
        self._empty_bytes = COLUMN_OVERHEAD * columns
        self._bytes = self._empty_bytes
        self.batches = 0

    def add(self, rows: pa.RecordBatch, sizes: Sizes | None = None) -> Iterator[RowBatch]:
        """Take rows in file order; give every batch that they fill. `sizes`: their `row_sizes`, where they are known."""
        sizes = np.cumsum(row_sizes(rows) if sizes is None else sizes)
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

    def keep(self) -> None:
        """Copy what waits out of the blocks that it came in, which a slow partition would keep in memory."""
        lent = self._waiting[self._ours :]
        if lent:
            # Of one alone Arrow makes no copy.
            self._waiting[self._ours :] = [pa.concat_batches([*lent, lent[0].slice(0, 0)])]
            self._ours = len(self._waiting)

    def finish(self) -> Iterator[RowBatch]:
        if self._rows:
            yield self._cut()

    def _cut(self) -> RowBatch:
        rows = pa.concat_batches(self._waiting)
        batch = RowBatch(self._partition, self.batches, rows)
        self._waiting, self._ours, self._rows, self._bytes = [], 0, 0, self._empty_bytes
        self.batches += 1
        return batch
