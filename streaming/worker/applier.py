"""What a worker does to the partitions that it owns: take over, apply, give up; and what it remembers of that until Redis has it on disk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from headrace.errors import HeadraceError
from headrace.failpoints import step
from headrace.settings import KafkaSettings
from profile_store import partitions
from profile_store.durability import write_lost
from profile_store.partitions import PartitionState
from profile_store.store import Store
from streaming.worker.batch import Result, Verdict, apply_messages, reject_messages
from streaming.worker.dead_letters import DeadLetter, DeadLetters
from streaming.worker.durable_offsets import DurableOffsets
from streaming.worker.outbox import Outbox
from streaming.worker.owned import OwnedPartition, Waiting
from streaming.worker.plans import Plans
from streaming.worker.poison import Fate, fate_of

log = logging.getLogger("headrace.worker")

_Apply = Callable[[Store, Plans, PartitionState, Sequence[bytes], bytes | None], Result]


def code_of(error: Exception) -> str:
    return error.code if isinstance(error, HeadraceError) else type(error).__name__


class Applier:
    """`offsets`: what may be committed to Kafka; `outbox`: what neighbours are still to be told."""

    def __init__(self, domain: str, store: Store, settings: KafkaSettings) -> None:
        self._domain = domain
        self._store = store
        self._plans = Plans(store, domain)
        self._dead_letters = DeadLetters(settings, domain)
        self.offsets = DurableOffsets(store, domain)
        self.outbox = Outbox(store, settings, domain)

    def take_over(self, owned: Sequence[OwnedPartition]) -> None:
        """Only when our tokens are durable may we skip, publish or commit: else a Redis that loses its last second brings the owners before us back.

        One wait for the disk serves them all. Raises TransientError; then none of them is ours yet.
        """
        taken = []
        for one in owned:
            with step("takeover"):
                taken.append(partitions.take_over(self._store, self._domain, one.number))
        with step("takeover_durable"):
            # Read and waited for in one life of the server: one that came back meanwhile may have lost what it just answered.
            tokens = partitions.read_durable_tokens(self._store, self._domain, [one.number for one in owned])
        if any(tokens.get(state.partition) != state.token for state, _ in taken):
            raise write_lost(f"who owns a partition of domain {self._domain}")
        for one, (state, entries) in zip(owned, taken, strict=True):
            one.state = state
            self.offsets.taken_over(state)
            self.outbox.taken_over(one.number, entries)

    def _state_of(self, owned: OwnedPartition) -> PartitionState:
        if owned.state is None:
            self.take_over([owned])
        if owned.state is None:
            raise RuntimeError("a partition that was taken over has a state")
        return owned.state

    def apply(self, owned: OwnedPartition, told: Sequence[Waiting], waiting: Waiting | None) -> Result:
        """Raises what `apply_messages` raises, and what nobody thought of."""
        return self._apply(apply_messages, owned, told, waiting)

    def give_up(self, owned: OwnedPartition, told: Sequence[Waiting], waiting: Waiting | None, error: Exception) -> Result | None:
        """What becomes of one message that is poison: first it goes to the dead-letter topic, then past its fence. None: it can't be given up.

        Raises TransientError: it is to be tried again.
        """
        [one] = [*told, *([] if waiting is None else [waiting])]
        state = self._state_of(owned)
        fate = fate_of(one.value, state)
        if fate is Fate.KEPT:
            return None
        if not one.dead:
            self._dead_letters.publish(DeadLetter(one.value, code_of(error), one.topic, owned.number, one.offset, one.failures))
            one.dead = True
            log.error(
                "domain %s, partition %d, offset %d of %s: given up after %d attempts (%s); it is in the dead-letter topic, %s",
                self._domain,
                owned.number,
                one.offset,
                one.topic,
                one.failures,
                code_of(error),
                "and its rows are rejected" if fate is Fate.REJECTED else "and skipped, since nobody can read it",
            )
        if fate is Fate.SKIPPED:
            return Result(Verdict.DONE, state)
        return self._apply(reject_messages, owned, told, waiting)

    def _apply(self, apply: _Apply, owned: OwnedPartition, told: Sequence[Waiting], waiting: Waiting | None) -> Result:
        before = self._state_of(owned)
        result = apply(self._store, self._plans, before, [one.value for one in told], None if waiting is None else waiting.value)
        owned.state = result.state
        if result.state.token != before.token:
            self.outbox.add(owned.number, self.offsets.committed(result.state), result.outbox)
        return result

    def publish(self) -> None:
        """Tell neighbours what is durable."""
        self.outbox.publish(self.offsets.durable)

    def forget(self, numbers: Iterable[int]) -> None:
        """Partitions that are not ours any more, or not as we knew them."""
        gone = list(numbers)
        self.offsets.forget(gone)
        self.outbox.forget(gone)

    def forget_plans(self) -> None:
        """Redis is not as we knew it."""
        self._plans.forget()

    def stop(self) -> None:
        self.outbox.stop()
        self.offsets.stop()
