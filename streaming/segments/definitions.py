"""What a generation of a segment means: it is defined by the change that began it (docs/adr/0019)."""

from __future__ import annotations

from headrace.errors import TransientError
from headrace.segment_set import SegmentSet, decode_segments
from profile_store import sequence
from profile_store.store import Store
from streaming.segments.compiled import CompiledSegment, compile_segment


def segments_at(store: Store, domain: str, generation: int) -> SegmentSet:
    """All segments of the domain as a change left them. Raises TransientError where Redis lost it."""
    registration = sequence.load_needed(store, domain, generation)
    if not registration.segments:
        raise TransientError(f"Import {generation} of domain {domain} is no change of segments any more.", code="REGISTRATION_LOST")
    return decode_segments(registration.segments, generation)


def compiled_generation(store: Store, domain: str, segment_id: int, generation: int) -> CompiledSegment:
    """Raises UnsupportedFormatError, TransientError."""
    segments = segments_at(store, domain, generation)
    found = segments.with_id(segment_id)
    if found is None:
        raise TransientError(
            f"Import {generation} of domain {domain} does not define segment {segment_id} any more.", code="REGISTRATION_LOST"
        )
    return compile_segment(segments, found.name)
