"""Segments of test domains, with the members that a test wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from headrace.address import unpacked_addresses
from headrace.segment_set import encode_segments, evolve
from headrace.segments import Segment
from profile_store import keys, registry, sequence
from profile_store.generations import begin_generations, complete_generations, switch_complete
from profile_store.registration import Registration
from profile_store.segment_registry import read_segments, register_segments
from profile_store.store import Store


def make_segment(store: Store, domain: str, name: str, is_member: Callable[[bytes], bool] = bool, of: str = "customer_id") -> None:
    """A segment whose members are, now, the profiles whose identifier `is_member` says so of; all that are not erased, unless it is given.

    Its definition, by which commits judge profiles from here on, is: the property `of` begins with a C.
    """
    stored = registry.get_domain(store, domain)
    registered = define_segment(store, domain, name, of)
    begin_generations(store, stored.partitions, registered)
    made = next(one for one in read_segments(store, domain).each() if one.name == name)
    for partition in range(stored.partitions):
        key = keys.ids(domain, partition)
        packed: Any = store.node_of(key).get(key) or b""
        identifiers = unpacked_addresses(packed)
        bits = np.packbits(np.array([one != bytes(16) and is_member(one) for one in identifiers], bool)).tobytes()
        complete_generations(store, domain, partition, {f"{made.id}.{made.generation}": bits})
    switch_complete(store, domain, stored.partitions)
    sequence.end(store, registered, registered.token)


def define_segment(store: Store, domain: str, name: str, of: str = "customer_id") -> Registration:
    """Its definition alone: nobody has begun to build it, and its change waits for its turn."""
    stored = registry.get_domain(store, domain)
    dimension = {"property": of, "comparison": "begins_with", "values": ["C"]}
    segment = Segment.model_validate(
        {"version": 1, "kind": "segment", "domain": domain, "name": name, "groups": [{"dimensions": [dimension]}]}
    )
    after = evolve(read_segments(store, domain).defined, [segment], (), stored.schema).after
    version = stored.schema.version
    registration = Registration(domain, 0, "segments", "", "", "", None, None, schema_version=version, segments=encode_segments(after))
    number = register_segments(store, registration, registration.token, after, [])
    return sequence.load_needed(store, domain, number)
