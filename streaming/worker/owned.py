"""A partition that this worker owns: its place in the log, its state, and when to try again after a failure."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from profile_store.partitions import PartitionState

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 15.0


@dataclass(slots=True)
class Waiting:
    """A message that was read and not yet applied."""

    offset: int
    value: bytes


@dataclass(slots=True)
class OwnedPartition:
    """`state` None: to be taken over first. `attempts`: failures in a row. `astray`: to be read again from its committed offset, first of all.

    `fetched` False: it has just come, and Kafka's client may still hold it paused from an earlier time with us.
    `gap_at`: the place (floor, fence) at which messages before the next one were found missing, and were looked for.
    """

    number: int
    queue: deque[Waiting] = field(default_factory=deque)
    state: PartitionState | None = None
    attempts: int = 0
    not_before: float = 0.0
    astray: bool = False
    fetched: bool = False
    gap_at: tuple[int, int] | None = None

    @property
    def ready(self) -> bool:
        return time.monotonic() >= self.not_before

    @property
    def paused(self) -> bool:
        return self.attempts > 0

    def failed(self) -> float:
        """Note a failure; seconds until the next attempt."""
        pause: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**self.attempts)
        self.attempts += 1
        self.not_before = time.monotonic() + pause
        return pause

    def went_well(self) -> None:
        self.attempts, self.not_before = 0, 0.0
