"""The outbox of the partitions we own: published when durable, again where nobody hears it, deleted when the receiver has it on disk (DESIGN §2).

What lies in memory here lies in Redis too; the next owner of a partition finds it there. A thread asks the receivers how far they are, since
asking waits for the disk.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from confluent_kafka import KafkaException, Producer

from headrace.errors import HeadraceError
from headrace.failpoints import step
from headrace.settings import KafkaSettings
from profile_store.partitions import OutboxEntry, delete_outbox, read_durable_heard
from profile_store.store import Store
from streaming import metrics
from streaming.kafka import neighbours_topic, producer_config

log = logging.getLogger("headrace.worker")

LOOK_SECONDS = 0.25
UNHEARD_SECONDS = 3.0
"""A receiver that applied nothing of a lane for so long gets all of it again: the topic may be new, the receiver too."""
MOST_DOUBLED = 4
"""Where it still applies nothing (its partition may be paused for hours), the pause is doubled so often at most."""


@dataclass(slots=True)
class Lane:
    """From one of our partitions to one neighbour. `entries`: (commit, entry) by number, not heard yet; `published`: how many of them are in Kafka.

    `moved`: when something was published or heard; `repeated`: how often all was published again since something was heard.
    """

    entries: deque[tuple[int, OutboxEntry]] = field(default_factory=deque)
    published: int = 0
    moved: float = 0.0
    repeated: int = 0

    def hear(self, number: int, now: float) -> list[OutboxEntry]:
        """The receiver has everything up to `number`: what that is. Where it hears nothing for long, all counts as not published."""
        heard = []
        while self.entries and self.entries[0][1].number <= number:
            heard.append(self.entries.popleft()[1])
            self.published = max(0, self.published - 1)
            self.moved, self.repeated = now, 0
        if self.published and now - self.moved > UNHEARD_SECONDS * 2 ** min(self.repeated, MOST_DOUBLED):
            self.published, self.moved, self.repeated = 0, now, self.repeated + 1
        return heard


class Outbox:
    """`add` what a commit left, `publish` what is durable. Sources and targets are partitions of one domain."""

    def __init__(self, store: Store, settings: KafkaSettings, domain: str) -> None:
        self._store = store
        self._domain = domain
        self._topic = neighbours_topic(settings, domain)
        self._settings = settings
        self._producer: Any = None
        self._lock = threading.Lock()
        self._lanes: dict[tuple[int, int], Lane] = {}
        self._bytes: dict[int, int] = {}
        self._heard: dict[int, list[tuple[int, int]]] = {}
        self._stopping = threading.Event()
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name=f"outbox-{domain}", daemon=True)
        self._thread.start()

    def taken_over(self, source: int, entries: Iterable[OutboxEntry]) -> None:
        """The outbox that was found with a partition; all of it is durable, and published again."""
        self.forget([source])
        self.add(source, 0, entries)

    def add(self, source: int, commit: int, entries: Iterable[OutboxEntry]) -> None:
        """What the `commit`-th commit of a partition left."""
        with self._lock:
            for entry in entries:
                self._lanes.setdefault((source, entry.target), Lane()).entries.append((commit, entry))
                self._bytes[source] = self._bytes.get(source, 0) + len(entry.value)

    def forget(self, sources: Iterable[int]) -> None:
        gone = set(sources)
        with self._lock:
            self._lanes = {lane: one for lane, one in self._lanes.items() if lane[0] not in gone}
            for source in gone:
                self._bytes.pop(source, None)

    def waiting_bytes(self, source: int) -> int:
        """Of messages whose receivers do not have them on disk, as far as we know."""
        with self._lock:
            return self._bytes.get(source, 0)

    def waiting(self) -> int:
        """How many messages that are."""
        with self._lock:
            return sum(len(lane.entries) for lane in self._lanes.values())

    def publish(self, durable: Callable[[int], int]) -> None:
        """Send what is durable and not sent; `durable`: source → its last durable commit. In order for each lane; what fails is sent again."""
        with self._lock:
            for (source, target), lane in self._lanes.items():
                if lane.published < len(lane.entries):
                    upto = durable(source)
                    for commit, entry in islice(lane.entries, lane.published, None):
                        if commit > upto or not self._send(target, entry.value):
                            break
                        lane.published += 1
                        lane.moved = time.monotonic()
        if self._producer is not None:
            self._producer.poll(0)

    def _send(self, target: int, value: bytes) -> bool:
        try:
            if self._producer is None:
                self._producer = Producer({**producer_config(self._settings), "linger.ms": 1})
            with step("outbox_publish"):
                self._producer.produce(self._topic, value, partition=target)
        except (BufferError, KafkaException) as error:
            if not isinstance(error, BufferError) and error.args[0].fatal():
                self._producer = None
            return False
        return True

    def stop(self) -> None:
        """Let what was sent go out: the next owner sends it again, after a look at Redis."""
        self._stopping.set()
        self._thread.join(10)
        if self._producer is not None:
            self._producer.flush(5)
            self._producer = None

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self._prune()
                self._delete()
                self._trouble = ""
            except Exception as error:
                code = error.code if isinstance(error, HeadraceError) else type(error).__name__
                metrics.FAILURES.labels(self._domain, code).inc()
                if code != self._trouble:
                    self._trouble = code
                    known = isinstance(error, HeadraceError)
                    log.warning("domain %s: the outbox waits: %s", self._domain, error if known else code, exc_info=not known)

    def _prune(self) -> None:
        """Let go of what receivers have on disk; what a receiver does not hear is sent again, from its first."""
        with self._lock:
            wanted: dict[int, list[int]] = {}
            for (source, target), lane in self._lanes.items():
                if lane.published:
                    wanted.setdefault(target, []).append(source)
        if not wanted:
            return
        heard = read_durable_heard(self._store, self._domain, wanted)
        with self._lock:
            for (target, source), number in heard.items():
                if (source, target) in self._lanes:
                    self._heard.setdefault(source, []).extend(self._drop(source, self._lanes[source, target], number))

    def _delete(self) -> None:
        """What was heard, until Redis has deleted it."""
        with self._lock:
            heard, self._heard = self._heard, {}
        try:
            for source in list(heard):
                delete_outbox(self._store, self._domain, source, heard[source])
                del heard[source]
        finally:
            with self._lock:
                for source, entries in heard.items():
                    self._heard.setdefault(source, []).extend(entries)

    def _drop(self, source: int, lane: Lane, heard: int) -> list[tuple[int, int]]:
        dropped = lane.hear(heard, time.monotonic())
        self._bytes[source] -= sum(len(entry.value) for entry in dropped)
        return [(entry.target, entry.number) for entry in dropped]
