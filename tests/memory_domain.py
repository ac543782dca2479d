"""A domain's partitions in memory: the engine of the dry run over a store that has nothing, one import after the other.

Which partition comes next, and how many of the messages that wait for it it takes at once, is drawn: so each import can be applied in another order.
"""

from __future__ import annotations

import io
import random
from collections import Counter, defaultdict, deque

import pyarrow as pa

from headrace.address import partition_of
from headrace.import_plan import ImportPlan, PlannedMapping
from headrace.merge import Profile
from headrace.outcomes import Outcome, Outcomes, Reject
from profile_store.records import SUPPRESSION, Record, decode_record, pointed_at
from streaming.dry_run.partitions import DryPartitions
from streaming.envelope import Header, decode, encode
from streaming.merge.changes import decode_rejects
from streaming.split.splitter import Splitter


class MemoryDomain:
    def __init__(self, partitions: int, rnd: random.Random | None = None) -> None:
        self._partitions = DryPartitions("test", partitions, lambda _, addresses: [None] * len(addresses))
        self._count = partitions
        self._rnd = rnd or random.Random(1)
        self._import_seq = 0
        self._mapped: dict[int, PlannedMapping] = {}

    def import_file(self, data: bytes, plan: ImportPlan) -> tuple[Outcomes, list[Reject]]:
        self._import_seq += 1
        self._mapped |= {one.property_id: one for one in plan.mappings}
        counts, rejects = Counter[str](), list[Reject]()
        splitter = Splitter(io.BytesIO(data).read, plan, "file.csv")
        batches: dict[int, deque[pa.RecordBatch]] = defaultdict(deque)
        for batch in splitter.batches():
            message = encode(Header(plan.domain, self._import_seq, batch.partition, batch.batch_no), batch.rows)
            batches[batch.partition].append(decode(message).rows)
        while waiting := sorted({*(one for one, left in batches.items() if left), *self._partitions.have_news()}):
            partition = self._rnd.choice(waiting)
            rows = batches[partition].popleft() if batches[partition] and self._rnd.random() < 0.5 else None
            told = self._some_told(partition)
            if rows is not None or told:
                change = self._partitions.apply(plan, self._import_seq, partition, rows, told)
                counts.update(change.counts)
                rejects += decode_rejects(change.rejects) if change.rejects else []
        assert counts["claimed"] == counts["settled"]
        assert counts["forwarded"] == counts["arrived"]
        total = Outcomes(**{one.value: counts[one.value] for one in Outcome}, cells=counts["cells"]) + Outcomes(
            rejected=splitter.totals.rejected
        )
        assert total.rows == splitter.totals.rows
        return total, self._in_the_file(data, plan, rejects)

    @staticmethod
    def _in_the_file(data: bytes, plan: ImportPlan, rejects: list[Reject]) -> list[Reject]:
        """With the splitter's own; each is where it says."""
        again = Splitter(io.BytesIO(data).read, plan, "file.csv")
        found = list(again.rejected(iter(sorted(rejects, key=lambda one: one.offset))))
        for reject, raw in found:
            assert data[reject.offset : reject.offset + len(raw)] == raw
        return [reject for reject, _ in found]

    def _some_told(self, partition: int) -> list[bytes]:
        """Some of the messages that wait, those of each neighbour in order."""
        taken = []
        for _ in range(self._rnd.randint(0, 4)):
            sources = [source for source, messages in sorted(self._partitions.waiting[partition].items()) if messages]
            if sources:
                taken.append(self._partitions.take(partition, self._rnd.choice(sources)))
        return taken

    def suppress(self, address: bytes) -> None:
        """As if what lived here had been erased for good."""
        self._partitions.overlay.write([(address, SUPPRESSION)])

    def records(self) -> dict[bytes, Record]:
        multiple = frozenset(one.property_id for one in self._mapped.values() if one.multiple)
        found = {address: decode_record(blob, multiple) for address, blob in self._partitions.overlay.entries() if blob[:1] == b"R"}
        numbers: dict[int, list[int]] = defaultdict(list)
        for address, record in found.items():
            numbers[partition_of(address, self._count)].append(record.number)
        assert all(sorted(some) == list(range(len(some))) for some in numbers.values()), "each partition numbers its profiles densely"
        return found

    def profiles(self) -> dict[bytes, Profile]:
        return {
            address: {self._mapped[identity].property: value for identity, value in record.values.items()}
            for address, record in self.records().items()
        }

    def pointers(self) -> dict[bytes, bytes]:
        return {address: profile for address, blob in self._partitions.overlay.entries() if (profile := pointed_at(blob)) is not None}
