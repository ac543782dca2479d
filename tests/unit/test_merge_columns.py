"""The merge in columns gives what the oracle gives: profiles, outcomes, rejects, through splitter, message and record, batch by batch."""

from __future__ import annotations

import io
from collections.abc import Iterator
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.import_plan import ImportPlan
from headrace.merge import Profile, import_rows
from headrace.outcomes import Outcomes, Reject
from profile_store.records import decode_record
from streaming.envelope import Header, decode, encode
from streaming.merge import columns as columns_module
from streaming.merge.changes import commit_of, decode_rejects
from streaming.merge.columns import distinct_addresses, merge_batch
from streaming.split import batches as batches_module
from streaming.split.splitter import Splitter
from tests.files import csv_bytes, plans, tables


class MemoryPartitions:
    """What the commit would leave behind: partition → key → blob, and the number of profiles."""

    def __init__(self, partitions: int) -> None:
        self.blobs: list[dict[bytes, bytes]] = [{} for _ in range(partitions)]
        self.numbers = [0] * partitions

    def import_file(self, data: bytes, plan: ImportPlan) -> tuple[Outcomes, list[Reject]]:
        stored = list[Reject]()
        splitter = Splitter(io.BytesIO(data).read, plan, "file.csv")
        total = Outcomes()
        for batch in splitter.batches():
            message = decode(encode(Header(plan.domain, 1, batch.partition, batch.batch_no), batch.rows))
            addresses, codes = distinct_addresses(message.rows)
            there = self.blobs[batch.partition]
            merged = merge_batch(message.rows, addresses, codes, [there.get(address) for address in addresses], plan)
            change = commit_of(message.header, plan, merged, self.numbers[batch.partition])
            for key, blob in zip(change.records[0::2], change.records[1::2], strict=True):
                there[key[-16:]] = blob
            self.numbers[batch.partition] += len(change.created) // 16
            total += change.outcomes
            stored += decode_rejects(change.rejects) if change.rejects else []
        total += Outcomes(rejected=splitter.totals.rejected)
        assert total.rows == splitter.totals.rows
        again = Splitter(io.BytesIO(data).read, plan, "file.csv")
        rejects = []
        for reject, raw in again.rejected(iter(sorted(stored, key=lambda one: one.offset))):
            assert data[reject.offset : reject.offset + len(raw)] == raw
            rejects.append(reject)
        return total, rejects

    def profiles(self, plan: ImportPlan) -> dict[bytes, Profile]:
        return dict(self._profiles(plan))

    def _profiles(self, plan: ImportPlan) -> Iterator[tuple[bytes, Profile]]:
        multiple = frozenset(one.property_id for one in plan.mappings if one.multiple)
        names = {one.property_id: one.property for one in plan.mappings}
        for blobs in self.blobs:
            numbers = set()
            for address, blob in blobs.items():
                record = decode_record(blob, multiple)
                numbers.add(record.number)
                yield address, {names[identity]: value for identity, value in record.values.items()}
            assert numbers == set(range(len(blobs)))


def key(reject: Reject) -> tuple[int, str, str]:
    return reject.line, reject.column or "", reject.reason.value


@settings(max_examples=400, deadline=None)
@given(plans(), st.lists(tables(), min_size=1, max_size=2), st.sampled_from([3, 17, 5000]), st.sampled_from([1, 3, 24]))
@pytest.mark.spec("M2", "M3", "M4", "M5", "M6", "M7", "M11", "M12", "R4")
def test_columns_give_what_the_oracle_gives(plan: ImportPlan, files: list[list[dict[str, str]]], batch_rows: int, small_round: int) -> None:
    memory, oracle = MemoryPartitions(plan.partitions), dict[bytes, Profile]()
    with mock.patch.object(batches_module, "BATCH_ROWS", batch_rows), mock.patch.object(columns_module, "SMALL_ROUND", small_round):
        for rows in files:
            outcomes, rejects = memory.import_file(csv_bytes(rows), plan)
            expected = import_rows(oracle, rows, plan)
            assert outcomes == expected.outcomes
            lines = line_numbers(rows)
            assert sorted(map(key, rejects)) == sorted((lines[row], column or "", reason.value) for row, column, reason in expected.rejects)
    assert memory.profiles(plan) == oracle


def line_numbers(rows: list[dict[str, str]]) -> list[int]:
    lines, line = [], 2
    for row in rows:
        lines.append(line)
        line += 1 + sum(cell.count("\n") for cell in row.values())
    return lines
