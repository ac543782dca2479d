"""Who is in the segments of a domain, as the store has it and as the definitions say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.merge import Profile
from headrace.segment_evaluation import is_member
from profile_store import keys, registry
from profile_store.membership import read_membership
from profile_store.segment_registry import segments_of
from profile_store.store import Store
from streaming.segments.definitions import segments_at


def members(store: Store, domain: str, segment_id: int) -> set[bytes]:
    """The profile identifiers of the members, who have to be somebody's."""
    found: set[bytes] = set()
    for partition in range(registry.get_domain(store, domain).partitions):
        packed: Any = store.node_of(keys.meta(domain, partition)).get(keys.ids(domain, partition)) or b""
        for number in map(int, read_membership(store, domain, partition, segment_id).numbers):
            identifier = packed[16 * number : 16 * number + 16]
            assert len(identifier) == 16, f"member {number} of partition {partition} was never made"
            assert identifier != bytes(16), f"member {number} of partition {partition} was erased"
            found.add(identifier)
    return found


def check_members(store: Store, domain: str, profiles: Mapping[bytes, Profile]) -> dict[str, int]:
    """Segment that is live → how many members it has: those that its live definition says. Raises AssertionError."""
    counts: dict[str, int] = {}
    for one in segments_of(store, domain):
        if one.live is None:
            continue
        defined = segments_at(store, domain, one.live)
        named, properties = defined.named.segments, {each.name: each.as_property() for each in defined.properties}
        meant = defined.with_id(one.id)
        assert meant is not None
        wanted = {identifier for identifier, profile in profiles.items() if is_member(meant.definition, profile, named, properties)}
        found = members(store, domain, one.id)
        assert found == wanted, (
            f"segment {one.name}, generation {one.live}: {len(wanted - found)} members are missing, {len(found - wanted)} are none;"
            f" of {len(wanted)}: {[profiles.get(identifier) for identifier in [*(wanted ^ found)][:2]]}"
        )
        counts[one.name] = len(found)
    return counts
