"""The profiles that a condition holds for, some at a time: what is found by values that locate nobody (the API's SearchProfiles)."""

from __future__ import annotations

from headrace.segments import Segment
from profile_store import keys
from profile_store.profiles import StoredProfile, decode_profile
from profile_store.read_addresses import mget_addresses
from profile_store.registry import StoredDomain
from profile_store.store import Store
from streaming.segments.compiled import evaluate
from streaming.segments.estimate import compile_new
from streaming.segments.reading import CHUNK, Chunk, read_addresses, records_of, with_grown_schema

LOOK_AT = 40 * CHUNK
"""Profiles that one call looks at: what is rare is found by several calls, each of which comes back soon."""


def search(store: Store, domain: StoredDomain, condition: Segment, start: str, most: int) -> tuple[list[StoredProfile], str | None]:
    """At most `most`, in the order of partitions and profile numbers, and where the next call goes on; None: all were looked at. `start`: '', or what an
    earlier call gave. A profile that is made or changed meanwhile may be given in either state. Raises ConfigurationError, TransientError.
    """
    return with_grown_schema(store, domain, lambda now: _search(store, now, condition, start, most))


def _search(store: Store, domain: StoredDomain, condition: Segment, start: str, most: int) -> tuple[list[StoredProfile], str | None]:
    compiled = compile_new(store, domain, condition)
    partition, number = map(int, start.split(":")) if start else (0, 0)
    found: list[StoredProfile] = []
    looked_at = 0
    while partition < domain.partitions:
        with store.on_node_of(keys.meta(domain.name, partition), "searching profiles") as node:
            addresses = read_addresses(node, domain.name, partition, number)
            blobs = records_of(mget_addresses(node, keys.address_prefix(domain.name, partition), b"".join(addresses)))
        if not addresses:
            partition, number = partition + 1, 0
            continue
        columns, there = Chunk(number, blobs).columns(len(domain.schema.properties), compiled.needs)
        for at in (evaluate(compiled, columns) & there).nonzero()[0].tolist():
            blob = blobs[at]
            if blob is not None:
                found.append(decode_profile(domain, addresses[at], blob))
            if len(found) == most:
                return found, f"{partition}:{number + at + 1}"
        number += len(addresses)
        looked_at += len(addresses)
        if looked_at >= LOOK_AT:
            return found, f"{partition}:{number}"
    return found, None
