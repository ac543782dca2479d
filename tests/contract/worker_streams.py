"""What the contract tests of the worker share: an import whose messages a test publishes itself, in the order and number it likes."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass

from confluent_kafka import Consumer, TopicPartition

from headrace.connections import Connection
from headrace.merge import Profile, import_rows
from headrace.outcomes import Outcomes
from profile_store import counts
from profile_store.registration import Registration
from streaming.envelope import Header, encode
from streaming.importing.register import register_import
from streaming.importing.scan import scan_goal
from streaming.kafka import consumer_config, rows_topic
from streaming.publisher import Publisher
from streaming.split.batches import RowBatch
from streaming.split.splitter import Splitter, SplitTotals
from tests.pipeline import Pipeline
from tests.polling import eventually
from tests.shop import as_csv, customers, plan_in, purchases, shop


@dataclass
class Stream:
    """One registered import of a file of purchases, its batches, and what must come of it."""

    real: Pipeline
    connection: Connection
    registration: Registration
    batches: list[RowBatch]
    totals: SplitTotals
    table: list[dict[str, str]]
    oracle: dict[bytes, Profile]
    expected: Outcomes

    @property
    def domain(self) -> str:
        return self.registration.domain

    @property
    def partitions(self) -> int:
        return self.registration.needed_plan.partitions

    def publish(self, batches: Iterable[RowBatch]) -> None:
        messages = [(batch.partition, self.message(batch)) for batch in batches]
        self.publish_bytes(messages)

    def message(self, batch: RowBatch) -> bytes:
        return encode(
            Header(self.domain, self.registration.import_seq, batch.partition, batch.batch_no, self.registration.token), batch.rows
        )

    def publish_bytes(self, messages: Iterable[tuple[int, bytes]]) -> None:
        publisher = Publisher(self.real.settings.kafka, self.domain)
        for partition, value in messages:
            publisher.publish(partition, value)
        publisher.flush()
        publisher.close()

    @property
    def progress(self) -> counts.Progress:
        return counts.progress(self.real.store, self.domain, self.partitions, self.registration.import_seq)

    @property
    def all_applied(self) -> bool:
        return self.progress.outcomes == self.expected

    def await_all(self, within: float = 60) -> None:
        """All batches applied, whatever happened on the way; and the profiles are the oracle's."""

        def all_there() -> bool:
            progress = self.progress
            applied = [fence + 1 for fence in progress.fences]
            assert applied == self.totals.batches, f"{applied} of {self.totals.batches} batches"
            assert progress.outcomes == self.expected, f"{progress.outcomes}, not {self.expected}"
            return True

        eventually(all_there, within=within, what="every batch is applied and counted")
        assert self.real.profiles(self.domain) == self.oracle

    def committed(self) -> list[int]:
        """The group's committed offset in each partition; 0 where there is none."""
        settings = self.real.settings.kafka
        asking = Consumer(consumer_config(settings, self.domain))
        topic = rows_topic(settings, self.domain)
        try:
            found = asking.committed([TopicPartition(topic, number) for number in range(self.partitions)], timeout=20)
        finally:
            asking.close()
        return [max(0, one.offset) for one in found]

    def await_committed(self, offsets: list[int], within: float = 30) -> None:

        def are_committed() -> bool:
            found = self.committed()
            assert found == offsets, f"{found} are"
            return True

        eventually(are_committed, within=within, what=f"offsets {offsets} are committed")

    def counts(self, batches: Iterable[RowBatch]) -> list[int]:
        """How many of these batches each partition has."""
        found = [0] * self.partitions
        for batch in batches:
            found[batch.partition] += 1
        return found


def open_stream(real: Pipeline, domain: str, rows: int, partitions: int = 4) -> Stream:
    """Small batches come by patching `streaming.split.batches.BATCH_ROWS` before."""
    connection = real.apply(shop(domain, partitions), customers(domain))
    table = purchases(rows)
    data = as_csv(table)
    real.put("crm", "in/a.csv", data)
    [scanned] = scan_goal(real.context, connection, connection.import_goals[0])
    registration = register_import(real.context, connection, connection.import_goals[0], scanned.version, "run-1")
    splitter = Splitter(io.BytesIO(data).read, registration.needed_plan, "in/a.csv")
    batches = list(splitter.batches())
    oracle: dict[bytes, Profile] = {}
    expected = import_rows(oracle, table, plan_in(real, connection)).outcomes
    return Stream(real, connection, registration, batches, splitter.totals, table, oracle, expected)
