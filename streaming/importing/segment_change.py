"""A change of a domain's segments takes a number in the sequence, so that it finds no import in flight, and every commit after it knows it (SPEC B7)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from headrace.failpoints import step
from headrace.segment_set import Evolution, SegmentSet, encode_segments, evolve
from headrace.segments import Segment
from profile_store import registry, segment_registry, sequence
from profile_store.generations import begin_generations, switch_complete
from profile_store.registration import Registration
from profile_store.registry import StoredDomain
from streaming.importing.announce import announce, refuse_lost_imports
from streaming.importing.context import ImportContext
from streaming.importing.register import identity_of_registration
from streaming.topics import make_topics

FROM_FILES: Mapping[str, Any] = MappingProxyType({"owner": "yaml"})


def planned_change(
    context: ImportContext, domain: StoredDomain, written: Iterable[Segment], removed: Collection[str]
) -> tuple[SegmentSet, Evolution]:
    """The segments that there are, and what becomes of them; nothing is changed. Raises ConfigurationError, TransientError."""
    refuse_lost_imports(context, domain.name)
    before = segment_registry.read_segments(context.store, domain.name).defined
    return before, evolve(before, written, removed, domain.schema)


def register_segment_change(
    context: ImportContext,
    domain: StoredDomain,
    written: Iterable[Segment],
    removed: Collection[str],
    details: Mapping[str, Any] = FROM_FILES,
) -> Registration | None:
    """None where nothing changes. `details`: kept with each segment that is new. Raises ConfigurationError, SegmentsMovedError, TransientError."""
    before, evolution = planned_change(context, domain, written, removed)
    if not evolution.changes:
        return None
    kept = {"CreatedAt": datetime.now(UTC).isoformat(timespec="milliseconds"), **details}
    fresh = {one.id: kept for one in evolution.after.segments if before.with_id(one.id) is None}
    registration = Registration(
        domain.name,
        0,
        "segments",
        "",
        "",
        "",
        None,
        None,
        schema_version=domain.schema.version,
        segments=encode_segments(evolution.after),
        details=json.dumps(fresh, sort_keys=True) if fresh else "",
    )
    gone = [one.id for one in before.segments if evolution.after.with_id(one.id) is None]
    work = identity_of_registration(registration)
    with step("register_segments"):
        import_seq = segment_registry.register_segments(context.store, registration, work, evolution.after, gone)
    return replace(registration, import_seq=import_seq)


def drive_segment_change(context: ImportContext, registration: Registration) -> None:
    """Its turn has come: every partition takes the new definitions. Repeatable. What is nowhere to be built is live at once."""
    store, domain = context.store, registry.get_domain(context.store, registration.domain)
    make_topics(context.kafka, domain.name, domain.partitions)
    announce(context, registration)
    begin_generations(store, domain.partitions, registration)
    switch_complete(store, domain.name, domain.partitions)
    with step("end_segments"):
        sequence.end(store, registration, identity_of_registration(registration))
