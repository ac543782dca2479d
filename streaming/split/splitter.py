"""The splitter: a file's bytes as numbered row batches, each for one partition (DESIGN §2).

It routes by the address of the link value alone, never by what the store holds: else a second publication would cut other batches under the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa

from headrace.import_plan import ImportPlan
from headrace.outcomes import Reject
from streaming.split.batches import LINK, PartitionBatches, RowBatch, Sizes, row_sizes
from streaming.split.encoding import Read, Text
from streaming.split.links import link_rows
from streaming.split.rows import Block, RowReader
from streaming.split.separator import Separator
from streaming.split.table import Columns, HeaderError, TableReader, first_row, read_header

ADDRESS = pa.binary(16)
LENT_BLOCKS = 8
"""Rows wait for their batch where the block lies that they came in; after so many blocks they are copied, so that no more are held."""


@dataclass(slots=True)
class SplitTotals:
    """What a whole file gave. `batches`: how many each partition has; `rejected`: rows that never left the splitter."""

    rows: int = 0
    rejected: int = 0
    batches: list[int] = field(default_factory=list)


class Splitter:
    """Splits one file. `read(n)` gives decompressed bytes; `name` is how errors call the file.

    Iterate `batches()` to the end, then `totals` is whole; or `rejected()`, to see what was rejected. Raises HeaderError, and whatever `read` raises.
    """

    def __init__(self, read: Read, plan: ImportPlan, name: str) -> None:
        self._plan = plan
        self._name = name
        self.header: list[str] = []
        self._separator = Separator(plan.file_format.separator)
        self._text = Text(read, plan.file_format.encoding, self._separator, name)
        self._partitions = [PartitionBatches(partition, len(plan.columns) + plan.has_several_links) for partition in range(plan.partitions)]
        self.totals = SplitTotals(batches=[0] * plan.partitions)

    def batches(self) -> Iterator[RowBatch]:
        for number, (_, columns) in enumerate(self._blocks(), 1):
            for partition, rows, sizes in self._route(columns):
                yield from self._partitions[partition].add(rows, sizes)
            if number % LENT_BLOCKS == 0:
                for gathered in self._partitions:
                    gathered.keep()
        for gathered in self._partitions:
            yield from gathered.finish()
        self.totals.batches = [one.batches for one in self._partitions]

    def rejected(self, stored: Iterator[Reject]) -> Iterator[tuple[Reject, bytes]]:
        """Every rejected row and cell in file order, with the row's bytes: the splitter's own, and `stored` ones (by ascending offset)."""
        waiting = next(stored, None)
        for block, columns in self._blocks():
            unusable = link_rows(columns.cells, columns.rows, self._plan).unusable
            found = [(Reject(one.line, one.offset, None, one.reason), self._separator.traded(one.raw)) for one in columns.bad]
            own = [Reject(int(columns.lines[row]), int(columns.offsets[row]), None, reason) for row, reason in unusable.items()]
            while waiting is not None and columns.rows and waiting.offset <= columns.offsets[-1]:
                own.append(waiting)
                waiting = next(stored, None)
            places = np.searchsorted(block.offsets, [reject.offset for reject in own]).tolist()
            found += [(reject, self._separator.traded(block.raw(place))) for reject, place in zip(own, places, strict=True)]
            yield from sorted(found, key=lambda one: one[0].offset)

    def _blocks(self) -> Iterator[tuple[Block, Columns]]:
        """The rows as they stand in the file, and as columns of text; rows are counted on the way."""
        separator = self._separator
        wanted = tuple(dict.fromkeys((*(link.column for link in self._plan.links), *self._plan.columns)))
        table: TableReader | None = None
        for found in RowReader(self._text.read, separator.byte).blocks():
            block = self._text.located(found)
            if table is None:
                if not block.rows and not block.bad:  # empty lines before the header
                    continue
                first, block = first_row(block, self._name)
                self.header = read_header(separator.traded(first), separator.character, wanted, self._name)
                table = TableReader(self.header, wanted, separator)
            columns = table.read(block)
            self.totals.rows += columns.rows_read
            yield block, columns
        if table is None:
            raise HeaderError(f"{self._name}: the file is empty.", code="EMPTY_FILE", hint="The first line must name the columns.")

    def _route(self, columns: Columns) -> Iterator[tuple[int, pa.RecordBatch, Sizes]]:
        """The rows for each partition, in file order within it, and their sizes. They are lent: they hold the whole block."""
        linked = link_rows(columns.cells, columns.rows, self._plan)
        self.totals.rejected += len(columns.bad) + len(linked.unusable)
        if not columns.rows:
            return
        packed = b"".join(linked.addresses)
        keep = np.ones(columns.rows, bool)
        keep[list(linked.unusable)] = False
        words = np.frombuffer(packed, "<u8")[::2]
        partitions = (words % np.uint64(self._plan.partitions)).astype(np.uint16 if self._plan.partitions <= 1 << 16 else np.int64)
        rows = pa.record_batch(
            {
                "line": pa.array(columns.lines, pa.int64()),
                "offset": pa.array(columns.offsets, pa.int64()),
                "address": pa.Array.from_buffers(ADDRESS, columns.rows, [None, pa.py_buffer(packed)]),
                **({LINK: pa.array(linked.used, pa.int8())} if self._plan.has_several_links else {}),
                **{str(place): columns.cells[name] for place, name in enumerate(self._plan.columns)},
            }
        )
        order = np.argsort(partitions, kind="stable")
        order = order[keep[order]]
        rows, partitions = rows.take(pa.array(order)), partitions[order]
        sizes = row_sizes(rows)
        bounds = [0, *(np.flatnonzero(np.diff(partitions)) + 1).tolist(), len(order)]
        for first, end in pairwise(bounds):
            if end > first:
                yield int(partitions[first]), rows.slice(first, end - first), sizes[first:end]
