"""How many profiles are there for an export: members of its segment with the required consent (SPEC E2). The export itself may write fewer (SPEC E1)."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.connections import Connection
from headrace.consent import CONSENTS
from headrace.goals import ExportProfilesGoal
from profile_store import registry
from profile_store.members import read_in_chunks
from profile_store.membership import count_members
from profile_store.records import decode_records
from profile_store.registry import StoredDomain
from profile_store.segment_registry import find_segment
from profile_store.store import Store
from streaming.merge.consent import consented
from streaming.segments.reading import with_grown_schema


def count_available(store: Store, connection: Connection, goal: ExportProfilesGoal) -> int:
    """As they are now. With objectives every member is read. Raises TerminalError NO_SUCH_SEGMENT, SEGMENT_NOT_READY; TransientError."""
    domain = registry.get_domain(store, goal.domain)
    segment = find_segment(store, domain.name, goal.segment)
    if not connection.objectives:
        return count_members(store, domain.name, domain.partitions, segment.id)
    consents = domain.schema.find(CONSENTS)
    if consents is None:
        return 0
    return with_grown_schema(store, domain, lambda now: _count_consented(store, now, segment.id, consents.id, connection.objectives))


def _count_consented(store: Store, domain: StoredDomain, segment_id: int, consents_id: int, objectives: Sequence[str]) -> int:
    found, column = 0, str(consents_id)
    for partition in range(domain.partitions):
        for members in read_in_chunks(store, domain.name, partition, [segment_id]).chunks:
            columns = decode_records(members.records, len(domain.schema.properties), {column})
            found += int(consented(columns[column], objectives).sum())
    return found
