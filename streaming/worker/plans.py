"""What workers read once: the plans of the imports under way, whose imports they are, and the definitions of segments."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.import_plan import ImportPlan
from profile_store import sequence
from profile_store.segment_bits import SegmentBits
from profile_store.store import Store
from streaming.segments.compiled import CompiledSegment
from streaming.segments.definitions import compiled_generation
from streaming.segments.live import LiveSegments

_KEPT = 8


@dataclass(frozen=True, slots=True)
class Planned:
    """What a worker has to know of a registration. `connection` is empty for what no connection asked for, like an erasure."""

    plan: ImportPlan
    connection: str


class Plans:
    def __init__(self, store: Store, domain: str) -> None:
        self._store = store
        self._domain = domain
        self._plans: dict[int, tuple[str, Planned]] = {}
        self._segments: dict[tuple[int, int], CompiledSegment] = {}

    def forget(self) -> None:
        """Redis is not as we knew it: a number that it lost may be another import's by now."""
        self._plans.clear()
        self._segments.clear()

    def plan_of(self, import_seq: int, token: str) -> Planned | None:
        """None where Redis knows no such import, or another one under its number. Raises UnsupportedFormatError, TransientError."""
        known = self._plans.get(import_seq)
        if known is None or known[0] != token:
            registration = sequence.load(self._store, self._domain, import_seq)
            if registration is None or registration.plan is None or registration.token != token:
                return None
            known = self._plans[import_seq] = token, Planned(registration.plan, registration.connection)
            for old in sorted(self._plans)[:-_KEPT]:
                del self._plans[old]
        return known[1]

    def live_segments(self, bits: SegmentBits | None) -> LiveSegments | None:
        """What a partition keeps, with what it means. Raises UnsupportedFormatError, and TransientError where Redis has lost a definition."""
        if bits is None:
            return None
        return LiveSegments(bits, tuple(self._compiled(one.id, one.generation) for one in bits.kept))

    def _compiled(self, segment_id: int, generation: int) -> CompiledSegment:
        """The change that began a generation is where it is defined."""
        pair = segment_id, generation
        if pair not in self._segments:
            for known in [known for known in self._segments if known[0] == segment_id][:-1]:
                del self._segments[known]
            self._segments[pair] = compiled_generation(self._store, self._domain, segment_id, generation)
        return self._segments[pair]
