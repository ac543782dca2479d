"""What drives imports and erasures, one number of the sequence after the other. Each `yield` is a place where others go on, or where it dies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tests.protocol.broken import Broken
from tests.protocol.model import Erasure, Message, Node, Row, Telling, added, close_rows, drop_import, raise_floor

if TYPE_CHECKING:
    from tests.protocol.cluster import Cluster

COMPLETE, FAILED, FAILING = "COMPLETE", "FAILED", "FAILING"
OUTCOMES = ("created", "updated", "unchanged", "skipped")
IN_FLIGHT = (("claimed", "settled"), ("forwarded", "arrived"))
Steps = Iterator[None]


@dataclass(frozen=True)
class Job:
    """A file, or a profile to erase. `fails_after`: so many batches can be published, then the file can't be read on; None: it is sound."""

    name: int
    rows: tuple[Row, ...] = ()
    erased: Erasure | None = None
    fails_after: int | None = None


@dataclass(frozen=True)
class Registration:
    seq: int
    token: int
    job: Job


@dataclass(frozen=True)
class Result:
    registration: Registration
    state: str
    counts: dict[str, int]


@dataclass(frozen=True)
class Domain:
    """What lies under the domain's own tag: the numbers given, what became of each, and the last that is over."""

    floor: int = 0
    registrations: dict[int, Registration] = field(default_factory=dict)
    results: dict[int, Result] = field(default_factory=dict)


class Flow:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.broken, self.random = cluster, cluster.broken, cluster.random

    def run(self) -> Steps:
        """Until every job is done. Whoever dies is followed by another, who finds everything in Redis."""
        while not self.cluster.over:
            domain: Domain = self.cluster.domain.live
            if domain.floor < len(domain.registrations):
                yield from self.drive(domain.registrations[domain.floor + 1])
            else:
                yield from self.register()
            yield

    def durably(self, node: Node, change: Callable[[Any], Any], there: Callable[[Any], bool]) -> Steps:
        """Write, wait for the disk, and look whether it is there: the server may have been started again between the two."""
        while True:
            node.write(change(node.live))
            yield
            blind = Broken.BLIND_RESULT if node is self.cluster.domain else Broken.BLIND_CLOSING
            if there(node.sync()) or self.broken is blind:
                return

    def register(self) -> Steps:
        """The next job gets the next number, unless another driver was faster; a number that Redis may lose is not used."""
        known: Domain = self.cluster.domain.live
        done = {one.job.name for one in known.registrations.values()}
        job = next((one for one in self.cluster.jobs if one.name not in done), None)
        if job is None:
            return
        seq = len(known.registrations) + 1
        self.cluster.domain.write(
            replace(known, registrations={**known.registrations, seq: Registration(seq, self.cluster.random.getrandbits(32), job)})
        )
        yield
        self.cluster.domain.sync()

    # rows

    def drive(self, registration: Registration) -> Steps:
        result = self.cluster.domain.live.results.get(registration.seq)
        if result is None:
            self.cluster.domain.sync()
            fences = [node.live.last("rows", registration.seq) for node in self.cluster.nodes]
            yield
            for node in self.cluster.nodes:
                node.sync()
            yield from self.publish(registration, fences)
            if registration.job.fails_after is not None:
                yield from self.fail(registration)
                return
            counts = yield from self.await_outcomes(registration)
            if counts is not None:
                yield from self.close(Result(registration, COMPLETE, counts))
        elif result.state == FAILING:
            yield from self.fail(registration)
        else:
            yield from self.close(result)

    def publish(self, registration: Registration, fences: list[int]) -> Steps:
        for published, (place, message) in enumerate(self.cluster.messages(registration)):
            if published == registration.job.fails_after:
                return
            if message.number > fences[place]:
                self.cluster.rows[place].append(message)
                yield

    # counts

    def progress(self, seq: int) -> Any:
        """The counts of all partitions, and of each its last batch. Servers are not asked in one moment."""
        found: list[tuple[dict[str, int], int]] = []
        for node in self.cluster.nodes:
            found.append((node.live.tally.get(seq, {}), node.live.last("rows", seq)))
            if self.random.random() < 0.3:
                yield
        return _summed(found)

    def durable_progress(self, seq: int) -> Any:
        """The same, and on disk: each server is asked, and waited for, in one life of it. None: one came back in between, which breaks the connection."""
        found: list[tuple[dict[str, int], int]] = []
        for node in self.cluster.nodes:
            life = node.life
            found.append((node.live.tally.get(seq, {}), node.live.last("rows", seq)))
            if self.random.random() < 0.5:
                yield
            node.sync()
            if node.life != life and self.broken is not Broken.ANOTHER_LIFE:
                return None
        return _summed(found)

    def await_outcomes(self, registration: Registration) -> Any:
        """The counts, when they add up and are the same on disk; None where another driver was faster."""
        wanted = Counter(place for place, _ in self.cluster.messages(registration))
        while True:
            counts, fences = yield from self.progress(registration.seq)
            rows = sum(counts.get(name, 0) for name in OUTCOMES)
            assert rows <= max(1, len(registration.job.rows)), "more rows counted than there are"
            batches = all(fence + 1 == wanted[place] for place, fence in enumerate(fences))
            counted = rows == max(1, len(registration.job.rows)) and (batches or self.broken in FENCELESS)
            if counted and over(counts):
                if self.broken is Broken.EARLY_COMPLETION:
                    return counts
                on_disk = yield from self.durable_progress(registration.seq)
                if on_disk == (counts, fences) or self.broken is Broken.READ_ONCE:
                    return counts
            elif self.cluster.wiped and self.random.random() < 0.05:
                yield from self.publish(registration, [-1] * self.cluster.partitions)
            if registration.seq in self.cluster.domain.live.results:
                return None
            yield

    def fail(self, registration: Registration) -> Steps:
        """Close the rows in each partition, let what is in flight come to its end, then count."""
        seq, cluster = registration.seq, self.cluster
        yield from self.put_result(Result(registration, FAILING, {}))
        there = cluster.domain.live.results.get(seq)
        if there is not None and there.state != FAILING:
            yield from self.close(there)
            return
        if self.broken is not Broken.ROWS_OPEN:
            for node in cluster.nodes:
                yield from self.durably(node, lambda one: close_rows(one, seq), lambda one: one.closing == seq or one.floor >= seq)
        if self.broken is not Broken.CLOSED_UNDRAINED:
            yield from self.await_silence(seq)
        yield from self.raise_floors(seq)
        counts, _ = yield from self.progress(seq)
        yield from self.close(Result(registration, FAILED, counts))

    def await_silence(self, seq: int) -> Steps:
        before = None
        while True:
            now = yield from self.durable_progress(seq)
            if now is not None and over(now[0]) and (now == before or self.broken is Broken.READ_ONCE):
                return
            before = now
            yield

    # the end

    def put_result(self, result: Result) -> Steps:
        """The first word counts; FAILED alone may replace FAILING."""
        seq = result.registration.seq

        def put(known: Domain) -> Domain:
            there = known.results.get(seq)
            if there is not None and not (result.state == FAILED and there.state == FAILING):
                return known
            return replace(known, results={**known.results, seq: result})

        yield from self.durably(self.cluster.domain, put, lambda one: seq in one.results)

    def close(self, result: Result) -> Steps:
        """Result, floors, what the partitions kept, the turn. Every step may be repeated."""
        seq, cluster = result.registration.seq, self.cluster
        yield from self.put_result(result)
        if cluster.domain.live.results[seq].state == FAILING:
            yield from self.fail(result.registration)
            return
        if self.broken is Broken.FENCE_DROPPED_FIRST:
            yield from self.drop(seq)
        if self.broken is not Broken.NO_FLOOR:
            yield from self.raise_floors(seq)
        yield from self.drop(seq)
        yield from self.durably(cluster.domain, lambda one: replace(one, floor=max(one.floor, seq)), lambda one: one.floor >= seq)
        cluster.keep_backup()

    def raise_floors(self, seq: int) -> Steps:
        for node in self.cluster.nodes:
            yield from self.durably(node, lambda one: raise_floor(one, seq), lambda one: one.floor >= seq)

    def drop(self, seq: int) -> Steps:
        for node in self.cluster.nodes:
            if node.live.floor >= seq or self.broken in (Broken.NO_FLOOR, Broken.FENCE_DROPPED_FIRST):
                node.write(drop_import(node.live, seq))
            yield


def _summed(found: list[tuple[dict[str, int], int]]) -> tuple[dict[str, int], list[int]]:
    counts: dict[str, int] = {}
    for tally, _ in found:
        counts = added(counts, tally)
    return counts, [fence for _, fence in found]


def over(counts: dict[str, int]) -> bool:
    return all(counts.get(asked, 0) == counts.get(answered, 0) for asked, answered in IN_FLIGHT)


FENCELESS = (Broken.NO_FENCE, Broken.GAPS_ACCEPTED, Broken.OFFSET_FENCE, Broken.FENCE_APART)


def batches_of(registration: Registration, partitions: int) -> list[tuple[int, Message]]:
    """(partition, message): batches of two rows, by the link's address alone, in the order of the file; of an erasure the one order."""
    job, seq, token = registration.job, registration.seq, registration.token
    if job.erased is not None:
        return [(job.erased.address % partitions, Message(seq, token, None, 0, Telling(erasures=(job.erased,))))]
    found = []
    for place in range(partitions):
        rows = [row for row in job.rows if row.address % partitions == place]
        for number, start in enumerate(range(0, len(rows), 2)):
            batch = tuple(rows[start : start + 2])
            found.append((batch[0].line, place, Message(seq, token, None, number, Telling(rows=batch))))
    return [(place, message) for _, place, message in sorted(found, key=lambda one: one[0])]
