"""How many members a definition would have, without storing it (SPEC S6): over all profiles, or over a sample of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.address import NOBODY
from headrace.errors import ConfigurationError
from headrace.segment_set import evolve
from headrace.segments import Named, Segment, validate_segment
from profile_store import keys
from profile_store.read_addresses import mget_addresses
from profile_store.registry import StoredDomain
from profile_store.segment_registry import read_segments
from profile_store.store import Store
from streaming.segments.compiled import CompiledSegment, compile_segment, evaluate
from streaming.segments.reading import CHUNK, Chunk, read_addresses, records_of, with_grown_schema

ALL = 0
"""A sample of everybody."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """`members` of the `looked_at` profiles are in it; `profiles`: how many there are in all. `estimated`: the same share of all."""

    members: int
    looked_at: int
    profiles: int

    @property
    def is_exact(self) -> bool:
        return self.looked_at == self.profiles

    @property
    def estimated(self) -> int:
        return self.members * self.profiles // max(1, self.looked_at)


def estimate(store: Store, domain: StoredDomain, definition: Segment, sample: int = ALL) -> Estimate:
    """`sample`: look at about so many profiles, evenly spread over their numbers; ALL: at each. Raises ConfigurationError, TransientError."""
    return with_grown_schema(store, domain, lambda now: _estimate(store, now, definition, sample))


def _estimate(store: Store, domain: StoredDomain, definition: Segment, sample: int) -> Estimate:
    compiled = compile_new(store, domain, definition)
    step = 1 if sample == ALL else max(1, sum(_sizes(store, domain)) // sample)
    seen = members = looked_at = 0
    for partition in range(domain.partitions):
        with store.on_node_of(keys.meta(domain.name, partition), "estimating a segment") as node:
            first = 0
            while addresses := read_addresses(node, domain.name, partition, first, CHUNK * step):
                present = [one for one in addresses if one != NOBODY]
                # One in `step` over all partitions: to begin anew in each would be to look at one at least, however small it is.
                some = present[-seen % step :: step]
                blobs = records_of(mget_addresses(node, keys.address_prefix(domain.name, partition), b"".join(some)))
                columns, _ = Chunk(0, blobs).columns(len(domain.schema.properties), compiled.needs)
                there = np.fromiter((blob is not None for blob in blobs), bool, len(blobs))
                members += int((evaluate(compiled, columns) & there).sum())
                looked_at += int(there.sum())
                seen += len(present) - int((~there).sum())  # without whom was erased since the addresses were read
                first += len(addresses)
    return Estimate(members, looked_at, seen)


def compile_new(store: Store, domain: StoredDomain, definition: Segment) -> CompiledSegment:
    """A definition that is not stored, over what is. Raises ConfigurationError."""
    before = read_segments(store, domain.name).defined
    known = domain.definition.with_properties(one.as_property() for one in domain.schema.active)
    named = Named({**before.named.segments, definition.name: definition})
    problems = validate_segment(definition, {domain.name: known}, (), named)
    if problems:
        raise ConfigurationError([f"segment {definition.name}: {'.'.join(map(str, one.path))}: {one.message}" for one in problems])
    return compile_segment(evolve(before, [definition], (), domain.schema).after, definition.name)


def _sizes(store: Store, domain: StoredDomain) -> list[int]:
    """Profile numbers given so far in each partition."""
    found = []
    for partition in range(domain.partitions):
        key = keys.meta(domain.name, partition)
        with store.on_node_of(key, "counting profiles") as node:
            size: Any = node.hget(key, "profiles")
            found.append(int(size or 0))
    return found
