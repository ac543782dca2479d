"""The segments of a domain, as `apply` left them, and which generation of each is the one that people read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from headrace.errors import TerminalError, TransientError
from headrace.segment_set import SegmentSet, decode_segments, encode_segments
from headrace.segments import Segment
from profile_store import keys
from profile_store.durability import read_durable, write_lost
from profile_store.registration import Registration
from profile_store.store import Store, text, translated


class SegmentsMovedError(TransientError):
    """The domain's segments, or its schema, changed between planning and registering: plan again."""

    code = "SEGMENTS_MOVED"


@dataclass(frozen=True, slots=True)
class StoredSegment:
    """`definition`: as it was applied last; `generation`: what it means, `live`: what its membership is of, None: it was never materialized.

    Where the two differ the membership is that of the definition before, until the new one is materialized. `details`: who owns it (`owner`), when it was
    made (`CreatedAt`), and what the API was told of it; empty where an older release made it.
    """

    id: int
    name: str
    definition: Segment
    generation: int
    live: int | None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        return str(self.details.get("owner", "yaml"))

    @property
    def is_current(self) -> bool:
        return self.live == self.generation


@dataclass(frozen=True, slots=True)
class StoredSegments:
    """`live`: segment id → generation; `import_seq`: of the last change of definitions, 0 for none; `details`: by segment id."""

    defined: SegmentSet
    live: dict[int, int]
    import_seq: int = 0
    details: dict[int, dict[str, Any]] = field(default_factory=dict)

    def each(self) -> list[StoredSegment]:
        return [
            StoredSegment(one.id, one.name, one.definition, one.generation, self.live.get(one.id), self.details.get(one.id, {}))
            for one in self.defined.segments
        ]

    @property
    def to_build(self) -> tuple[str, ...]:
        """Names of those whose membership is not yet that of their definition."""
        return tuple(one.name for one in self.each() if not one.is_current)


def read_segments(store: Store, domain: str) -> StoredSegments:
    """Definitions and what is live, of one moment; of a domain without segments an empty set."""
    with translated("reading a domain's segments"):
        found: dict[Any, Any] = store.client.hgetall(keys.segments(domain))
    fields = {text(name): value for name, value in found.items()}
    if "document" not in fields:
        return StoredSegments(SegmentSet(), {})
    live = {int(name.removeprefix("live:")): int(value) for name, value in fields.items() if name.startswith("live:")}
    details = {int(name.removeprefix("details:")): json.loads(text(value)) for name, value in fields.items() if name.startswith("details:")}
    import_seq = int(fields["import_seq"])
    return StoredSegments(decode_segments(text(fields["document"]), import_seq), live, import_seq, details)


def segments_of(store: Store, domain: str) -> list[StoredSegment]:
    """In the order in which they were made."""
    return read_segments(store, domain).each()


def find_segment(store: Store, domain: str, name: str) -> StoredSegment:
    """Raises TerminalError NO_SUCH_SEGMENT."""
    there = segments_of(store, domain)
    found = next((one for one in there if one.name == name), None)
    if found is None:
        raise no_such_segment(domain, name, [one.name for one in there])
    return found


def no_such_segment(domain: str, name: str, known: Iterable[str] = ()) -> TerminalError:
    return TerminalError(
        f"Domain {domain} has no segment {name}; there are: {', '.join(known) or 'none'}.",
        code="NO_SUCH_SEGMENT",
        hint="`headrace apply segments/NAME.yaml` makes one.",
    )


def live_generation(store: Store, domain: str, segment_id: int) -> int | None:
    with translated("reading a segment's generation"):
        found = store.client.hget(keys.segments(domain), f"live:{segment_id}")
    return None if found is None else int(found)


def register_segments(store: Store, registration: Registration, identity: str, after: SegmentSet, removed: Iterable[int]) -> int:
    """The number of a change of segments; `after`: all that there are then, `removed`: ids that are gone. Durable before it returns.

    Raises SegmentsMovedError, TransientError.
    """
    domain = registration.domain
    reply = store.run_script(
        "register_segments",
        [keys.sequence(domain), keys.open_imports(domain), keys.segments(domain), keys.schema(domain), keys.domain_nothing(domain)],
        [
            identity,
            registration.as_json(),
            keys.registration(domain, 0)[:-1],
            after.revision - 1,
            encode_segments(after),
            registration.schema_version,
            len(registration.details_by_segment),
            *detail_pairs(registration),
            *removed,
        ],
    )
    if isinstance(reply[0], bytes):
        raise SegmentsMovedError(f"The segments of domain {domain} changed while a change of them was planned.", hint="Apply it again.")
    import_seq = int(reply[0])
    stored = read_durable(store, keys.mark(domain), lambda node: node.get(keys.registration(domain, import_seq)))
    if stored is None or text(stored) != registration.as_json():
        raise write_lost(f"import {import_seq} of domain {domain}")
    return import_seq


def detail_pairs(registration: Registration) -> list[str | int]:
    """Segment id, details as JSON, and so on: as scripts take them."""
    found = registration.details_by_segment.items()
    return [one for identity, details in found for one in (identity, json.dumps(details, sort_keys=True))]


def switch_live(store: Store, domain: str, generations: dict[int, int]) -> int:
    """Segment id → the generation that is whole in every partition, on disk: it is what people read from here on. Gives how many changed.

    Durable before it returns. Raises TransientError: repeat it.
    """
    if not generations:
        return 0
    key = keys.segments(domain)
    changed = int(store.run_script("switch_live", [key], [one for pair in generations.items() for one in pair]))
    names = [f"live:{identity}" for identity in generations]
    found = read_durable(store, keys.mark(domain), lambda node: node.hmget(key, names))
    if any(int(is_live or 0) < generation for is_live, generation in zip(found, generations.values(), strict=True)):
        raise write_lost(f"the segments of domain {domain}")
    return changed
