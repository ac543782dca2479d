"""How many members a definition would have, without storing it (SPEC S6): over all profiles, or over a sample of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.errors import ConfigurationError
from headrace.segment_set import evolve
from headrace.segments import Named, Segment, validate_segment
from profile_store import keys
from profile_store.read_addresses import mget_addresses
from profile_store.registry import StoredDomain
from profile_store.segment_registry import read_segments
from profile_store.store import Store
from streaming.segments.compiled import CompiledSegment, compile_segment, evaluate
from streaming.segments.reading import CHUNK, Chunk, read_addresses, records_of

ALL = 0
"""A sample of everybody."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """`members` of the `looked_at` profiles are in it; `numbers`: profile numbers given so far, erased profiles' among them. `estimated`: of all."""

    members: int
    looked_at: int
    numbers: int
    step: int

    @property
    def is_exact(self) -> bool:
        return self.step == 1

    @property
    def estimated(self) -> int:
        return self.members * self.step


def estimate(store: Store, domain: StoredDomain, definition: Segment, sample: int = ALL) -> Estimate:
    """`sample`: look at about so many profiles, evenly spread over their numbers; ALL: at each. Raises ConfigurationError, TransientError."""
    compiled = compile_new(store, domain, definition)
    sizes = _sizes(store, domain)
    step = 1 if sample == ALL else max(1, sum(sizes) // sample)
    members = looked_at = 0
    for partition in range(domain.partitions):
        with store.on_node_of(keys.meta(domain.name, partition), "estimating a segment") as node:
            first = 0
            while addresses := read_addresses(node, domain.name, partition, first, CHUNK * step):
                some = addresses[partition % step :: step]
                blobs = records_of(mget_addresses(node, keys.address_prefix(domain.name, partition), b"".join(some)))
                columns, _ = Chunk(0, blobs).columns(len(domain.schema.properties), compiled.needs)
                there = np.fromiter((blob is not None for blob in blobs), bool, len(blobs))
                members += int((evaluate(compiled, columns) & there).sum())
                looked_at += int(there.sum())
                first += len(addresses)
    return Estimate(members, looked_at, sum(sizes), step)


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
