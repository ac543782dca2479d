"""A domain's partitions as an import would leave them: merged, committed and told about by the code that workers run, without Redis and Kafka.

What is there for real is read; what would be written goes to an overlay, what neighbours would be told waits here.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import replace

import pyarrow as pa

from headrace.address import ADDRESS_BYTES, unpacked_addresses
from headrace.import_plan import ImportPlan
from profile_store.partitions import Commit, PartitionState
from profile_store.records import pointer_to
from streaming.dry_run.overlay import Below, Overlay
from streaming.envelope import Header, decode_header
from streaming.merge.changes import commit_of
from streaming.merge.group import Group, merge_group
from streaming.neighbours import Telling, decode_telling


class DryPartitions:
    """All partitions of a domain. Who calls `apply` decides which is next, and how much of what waits for it it takes."""

    def __init__(self, domain: str, partitions: int, below: Below) -> None:
        self.overlay = Overlay(below)
        self._states = [PartitionState(domain, partition, "", 0, 0, 1, {}) for partition in range(partitions)]
        self.waiting: defaultdict[int, defaultdict[int, deque[bytes]]] = defaultdict(lambda: defaultdict(deque))
        """Partition → the neighbour that tells → its messages, in order."""
        self.waiting_bytes = 0

    def close(self) -> None:
        self.overlay.close()

    def have_news(self) -> list[int]:
        """The partitions that messages of neighbours wait for."""
        return sorted(one for one, sources in self.waiting.items() if any(sources.values()))

    def take(self, partition: int, source: int) -> bytes:
        """The next message of one neighbour."""
        message = self.waiting[partition][source].popleft()
        self.waiting_bytes -= len(message)
        return message

    def take_all(self, partition: int) -> list[bytes]:
        return [self.take(partition, source) for source, messages in sorted(self.waiting[partition].items()) for _ in range(len(messages))]

    def apply(self, plan: ImportPlan, import_seq: int, partition: int, rows: pa.RecordBatch | None, told: list[bytes]) -> Commit:
        """One group of messages: what a worker would commit, and the overlay now holds. Raises what `merge_group` and reading below raise."""
        state = self._states[partition]
        heard: dict[int, tuple[int, int]] = {}
        tellings: list[Telling] = []
        for value in told:
            header, start = decode_header(value)
            first, last = heard.get(header.source, (header.number, state.heard_of(header.source)))
            if header.number != last + 1:
                raise AssertionError(f"partition {partition} was told {header.number} by {header.source} after {last}")
            heard[header.source] = first, header.number
            tellings.append(decode_telling(memoryview(value)[start:]))
        merged = merge_group(Group(import_seq, rows, tellings), plan, lambda addresses: self.overlay.read(partition, addresses))
        change = commit_of(Header(plan.domain, import_seq, partition, 0), None if rows is None else 0, heard, plan, merged, state)
        self._commit(state, change)
        return change

    def _commit(self, state: PartitionState, change: Commit) -> None:
        records = zip(unpacked_addresses(change.addresses), change.records.split(b"\n")[:-1], strict=True)
        bound = unpacked_addresses(change.pointers)
        pointers = ((address, pointer_to(profile)) for address, profile in zip(bound[::2], bound[1::2], strict=True))
        self.overlay.write((*records, *pointers), frozenset(unpacked_addresses(change.created)))
        for entry in change.told:
            self.waiting[entry.target][state.partition].append(entry.value)
            self.waiting_bytes += len(entry.value)
        self._states[state.partition] = replace(
            state,
            profiles=state.profiles + len(change.created) // ADDRESS_BYTES,
            heard={**state.heard, **{source: last for source, (_, last) in change.heard.items()}},
            told={**state.told, **{one.target: one.number for one in change.told}},
        )
