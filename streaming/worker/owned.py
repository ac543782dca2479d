"""A partition that this worker owns: its place in the log, its state, and when to try again after a failure."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from profile_store.partitions import PartitionState

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 15.0


def _pause_after(failures: int) -> float:
    pause: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(failures, 10))
    return pause


@dataclass(slots=True, eq=False)
class Waiting:
    """A message that was read and not yet applied. `topic`, `offset`: where it stands.

    `suspected`: it was in a group that failed, and is tried alone. `failures`: attempts at it alone that failed; `not_before`: when a row batch is tried
    again, while the neighbours' messages go on. `dead`: it stands in the dead-letter topic.
    """

    topic: str
    offset: int
    value: bytes
    suspected: bool = False
    failures: int = 0
    not_before: float = 0.0
    dead: bool = False

    @property
    def ready(self) -> bool:
        return time.monotonic() >= self.not_before

    def failed(self) -> float:
        """Note a failure; seconds until the next attempt."""
        pause = _pause_after(self.failures)
        self.failures += 1
        self.not_before = time.monotonic() + pause
        return pause


TOLD_MESSAGES = 512
"""What a partition keeps of its neighbours' messages; more would come from outboxes again anyway."""
GROUP_MESSAGES, GROUP_BYTES = 128, 1_500_000
"""Of neighbours' messages, in one commit."""


@dataclass(slots=True)
class OwnedPartition:
    """`told`: neighbours' messages that wait. `state` None: to be taken over first. `attempts`: failures in a row. `astray`: to be read again from
    its committed offset, first of all.

    `fetched` False: it has just come, and Kafka's client may still hold it paused from an earlier time with us. `read_upto`: the offset of the last
    message read. `gap_at`: the place (floor, fence) at which messages before the next one were found missing, and were looked for.
    """

    number: int
    queue: deque[Waiting] = field(default_factory=deque)
    told: deque[Waiting] = field(default_factory=lambda: deque(maxlen=TOLD_MESSAGES))
    state: PartitionState | None = None
    attempts: int = 0
    not_before: float = 0.0
    astray: bool = False
    fetched: bool = False
    gap_at: tuple[int, int] | None = None
    read_upto: int = -1

    @property
    def ready(self) -> bool:
        return time.monotonic() >= self.not_before

    @property
    def paused(self) -> bool:
        return self.attempts > 0 or (bool(self.queue) and self.queue[0].failures > 0)

    @property
    def has_rows(self) -> bool:
        """Whether a row batch may be tried now."""
        return bool(self.queue) and self.queue[0].ready

    def next_group(self, waiting: Waiting | None) -> tuple[list[Waiting], Waiting | None]:
        """Neighbours' messages and the row batch for the next commit; `waiting`: the row batch, if one may be taken.

        After a failure each message alone, so that one that can't be applied is found, and does not hold up the others.
        """
        if self.told and (self.attempts or self.told[0].suspected):
            return [self.told[0]], None
        if waiting is not None and waiting.suspected:
            return [], waiting
        taken: list[Waiting] = []
        size = 0
        for one in self.told:
            size += len(one.value)
            if taken and (one.suspected or size > GROUP_BYTES or len(taken) == GROUP_MESSAGES):
                break
            taken.append(one)
        return taken, waiting

    def drop_told(self, count: int) -> None:
        for _ in range(min(count, len(self.told))):
            self.told.popleft()

    def failed(self) -> float:
        """Note a failure; seconds until the next attempt."""
        pause = _pause_after(self.attempts)
        self.attempts += 1
        self.not_before = time.monotonic() + pause
        return pause

    def went_well(self) -> None:
        self.attempts, self.not_before = 0, 0.0
