"""The splitter: a file's bytes as numbered row batches, each for one partition (DESIGN §2).

It routes by the address of the link value alone, never by what the store holds: else a second publication would cut other batches under the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from headrace.address import PROFILE_IDENTIFIER, addresses_of, profile_identifier_of
from headrace.import_plan import ImportPlan
from headrace.outcomes import Reason, Reject
from streaming.merge.cast import cast_identifiers
from streaming.split.batches import PartitionBatches, RowBatch
from streaming.split.encoding import Read, Text
from streaming.split.rows import Block, RowReader
from streaming.split.separator import Separator
from streaming.split.table import Columns, HeaderError, TableReader, first_row, read_header

ADDRESS = pa.binary(16)


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
        self._text = Text(read, plan.file_format.encoding, self._separator)
        self._partitions = [PartitionBatches(partition, len(plan.columns)) for partition in range(plan.partitions)]
        self.totals = SplitTotals(batches=[0] * plan.partitions)

    def batches(self) -> Iterator[RowBatch]:
        for _, columns in self._blocks():
            for partition, rows in self._route(columns):
                yield from self._partitions[partition].add(rows)
        for gathered in self._partitions:
            yield from gathered.finish()
        self.totals.batches = [one.batches for one in self._partitions]

    def rejected(self, stored: Iterator[Reject]) -> Iterator[tuple[Reject, bytes]]:
        """Every rejected row and cell in file order, with the row's bytes: the splitter's own, and `stored` ones (by ascending offset)."""
        waiting = next(stored, None)
        for block, columns in self._blocks():
            _, unusable = self._addresses(columns)
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
        wanted = tuple(dict.fromkeys((self._plan.link.column, *self._plan.columns)))
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

    def _route(self, columns: Columns) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The rows for each partition, in file order within it."""
        addresses, unusable = self._addresses(columns)
        self.totals.rejected += len(columns.bad) + len(unusable)
        if not columns.rows:
            return
        packed = b"".join(addresses)
        keep = np.ones(columns.rows, bool)
        keep[list(unusable)] = False
        words = np.frombuffer(packed, "<u8")[::2]
        partitions = (words % np.uint64(self._plan.partitions)).astype(np.int64)
        rows = pa.record_batch(
            [
                pa.array(columns.lines, pa.int64()),
                pa.array(columns.offsets, pa.int64()),
                pa.Array.from_buffers(ADDRESS, columns.rows, [None, pa.py_buffer(packed)]),
                *(columns.cells[name] for name in self._plan.columns),
            ],
            names=["line", "offset", "address", *(str(place) for place in range(len(self._plan.columns)))],
        )
        order = np.argsort(partitions, kind="stable")
        order = order[keep[order]]
        bounds = np.flatnonzero(np.diff(partitions[order])) + 1
        for places in np.split(order, bounds):
            if len(places):
                # A copy for each partition: a slice would keep the whole block alive until a slow partition fills a batch.
                yield int(partitions[places[0]]), rows.take(pa.array(places))

    def _addresses(self, columns: Columns) -> tuple[list[bytes], dict[int, Reason]]:
        """An address for each row; where there is none, zeros and the reason."""
        link, nothing = self._plan.link, bytes(16)
        cells = columns.cells[link.column]
        if link.property == PROFILE_IDENTIFIER:
            texts = cells.to_pylist()
            found = [profile_identifier_of(text) for text in texts]
            unusable = {
                row: Reason.INVALID_IDENTIFIER if texts[row].strip() else Reason.NO_IDENTIFIER
                for row, address in enumerate(found)
                if address is None
            }
            return [address or nothing for address in found], unusable
        cast = cast_identifiers(cells, link.type, self._plan.cells)
        values = cast.values.to_pylist()
        unusable = {int(row): Reason.NO_IDENTIFIER for row in np.flatnonzero(cast.blank)} | cast.bad
        return addresses_of(self._plan.key, link.property, ("" if value is None else value for value in values)), unusable
