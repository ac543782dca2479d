"""What the HTTP API needs of the machinery behind the log: it is handed to `api`, which imports nothing of this folder (docs/adr/0001)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from headrace.domains import Domain
from headrace.schema import initial_schema
from headrace.segments import Segment
from object_store.store import ObjectStore
from profile_store import registry, retirement, sequence
from profile_store.profiles import StoredProfile
from profile_store.segment_registry import SegmentsMovedError, find_segment, segments_of
from streaming.importing.context import ImportContext
from streaming.importing.erase import register_erasure
from streaming.importing.follow import Follower
from streaming.importing.segment_change import register_segment_change
from streaming.segments.estimate import estimate
from streaming.segments.members import SnapshotFormat, each_member, write_snapshot
from streaming.segments.search import search
from streaming.topics import make_topics

_ATTEMPTS = 10
_LOOK_SECONDS = 0.05


class DomainEngine:
    """Used by many threads. `follower`: sees through what is registered here; `objects`: where snapshots go."""

    def __init__(self, context: ImportContext, follower: Follower, objects: ObjectStore, address_secret: str) -> None:
        self._context = context
        self._follower = follower
        self._objects = objects
        self._address_secret = address_secret

    def create_domain(self, definition: Domain, details: dict[str, Any]) -> bool:
        """Whether it was made: False where there is one of that name."""
        store, name = self._context.store, definition.name
        if registry.find_domain(store, name) is not None:
            return False
        before = retirement.partitions_before(store, name)
        definition = definition if before is None else definition.model_copy(update={"partitions": before})
        make_topics(self._context.kafka, name, definition.partitions)
        return registry.create_domain(store, definition, initial_schema(definition), self._address_secret, "api", details)

    def delete_domain(self, domain: str) -> bool:
        """Whether it is gone: False while an import of it is not over."""
        stored = registry.get_domain(self._context.store, domain)
        return retirement.retire(self._context.store, domain, stored.partitions)

    def create_segment(self, segment: Segment, details: Mapping[str, Any]) -> bool:
        """Whether it was made: False where its domain has one of that name. Raises ConfigurationError, TransientError."""
        for attempt in range(1, _ATTEMPTS + 1):
            if any(one.name == segment.name for one in segments_of(self._context.store, segment.domain)):
                return False
            try:
                register_segment_change(
                    self._context, registry.get_domain(self._context.store, segment.domain), (segment,), (), {"owner": "api", **details}
                )
                break
            except SegmentsMovedError:
                if attempt == _ATTEMPTS:
                    raise
        self._follower.follow(segment.domain)
        return True

    def delete_segment(self, domain: str, name: str) -> None:
        """Raises TerminalError NO_SUCH_SEGMENT, ConfigurationError where others are made of it, TransientError."""
        for attempt in range(1, _ATTEMPTS + 1):
            find_segment(self._context.store, domain, name)
            try:
                register_segment_change(self._context, registry.get_domain(self._context.store, domain), (), (name,))
                break
            except SegmentsMovedError:
                if attempt == _ATTEMPTS:
                    raise
        self._follower.follow(domain)

    def erase(self, domain: str, address: bytes, patience_seconds: float) -> bool:
        """Whether it is done already. Else it goes behind the imports that are going on, whatever becomes of this process."""
        registration = register_erasure(self._context, domain, address, False)
        self._follower.follow(domain)
        until = time.monotonic() + patience_seconds
        while sequence.domain_floor(self._context.store, domain) < registration.import_seq:
            if time.monotonic() > until:
                return False
            time.sleep(_LOOK_SECONDS)
        return True

    def estimate(self, definition: Segment) -> int:
        """Raises ConfigurationError, TransientError."""
        return estimate(self._context.store, registry.get_domain(self._context.store, definition.domain), definition).estimated

    def snapshot(self, domain: str, segment: str, bucket: str, key: str, kind: SnapshotFormat) -> int:
        """Raises TerminalError, TransientError."""
        stored = registry.get_domain(self._context.store, domain)
        members = each_member(self._context.store, stored, find_segment(self._context.store, domain, segment))
        return write_snapshot(self._objects, bucket, key, members, stored, kind)

    def search(self, condition: Segment, start: str, most: int) -> tuple[list[StoredProfile], str | None]:
        """Raises ConfigurationError, TransientError."""
        return search(self._context.store, registry.get_domain(self._context.store, condition.domain), condition, start, most)
