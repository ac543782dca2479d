"""Live membership held against a full evaluation (SPEC S5): every bit of every live segment, while imports go on.

Each chunk of profiles is read with its bits in one transaction, so a profile and its bits are of one version of the partition. Nothing has to be read
again because something was committed in between. Drift must be none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headrace.errors import TransientError, UnsupportedFormatError
from profile_store import keys, registry
from profile_store.membership import COMPLETE
from profile_store.registry import StoredDomain
from profile_store.segment_registry import StoredSegment, segments_of
from profile_store.store import Store, text
from streaming.merge.vectors import Mask
from streaming.segments.compiled import CompiledSegment, evaluate
from streaming.segments.definitions import compiled_generation
from streaming.segments.reading import CHUNK, Chunk, read_addresses, records_of

_ATTEMPTS = 5
Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Drift:
    """In one partition: how many members a segment lacks, and how many it has that are none."""

    segment: str
    partition: int
    missing: int
    strange: int


@dataclass(slots=True)
class Proof:
    """`members`: segment → how many there are by the full evaluation."""

    domain: str
    profiles: int = 0
    members: dict[str, int] = field(default_factory=dict)
    drifts: list[Drift] = field(default_factory=list)


class _OvertakenError(Exception):
    """A generation was switched while it was read."""


@dataclass(frozen=True, slots=True)
class _Live:
    segment: StoredSegment
    pair: str
    compiled: CompiledSegment


def prove(store: Store, domain: str, report: Report = lambda _done, _all: None) -> Proof:
    """Of the segments that are live now. Raises TransientError."""
    for _ in range(_ATTEMPTS):
        stored = registry.get_domain(store, domain)
        live = [
            _Live(one, f"{one.id}.{one.live}", compiled_generation(store, domain, one.id, one.live))
            for one in segments_of(store, domain)
            if one.live is not None
        ]
        proof = Proof(domain, members={one.segment.name: 0 for one in live})
        try:
            for partition in range(stored.partitions):
                _prove_partition(store, stored, partition, live, proof)
                report(partition + 1, stored.partitions)
        except _OvertakenError:
            continue
        except UnsupportedFormatError:
            if registry.get_domain(store, domain).schema.version == stored.schema.version:
                raise
            continue  # the schema has grown meanwhile
        return proof
    raise TransientError(f"The segments of domain {domain} keep changing while they are proven.", code="SEGMENTS_MOVED")


def _prove_partition(store: Store, domain: StoredDomain, partition: int, live: list[_Live], proof: Proof) -> None:
    needs = frozenset(one for each in live for one in each.compiled.needs)
    missing, strange = np.zeros(len(live), np.int64), np.zeros(len(live), np.int64)
    first = 0
    with store.on_node_of(keys.meta(domain.name, partition), "proving segments") as node:
        while addresses := read_addresses(node, domain.name, partition, first):
            chunk, bits = _read(node, domain.name, partition, first, addresses, [one.pair for one in live])
            columns, there = chunk.columns(len(domain.schema.properties), needs)
            proof.profiles += int(there.sum())
            for at, one in enumerate(live):
                wanted = evaluate(one.compiled, columns) & there
                proof.members[one.segment.name] += int(wanted.sum())
                missing[at] += int((wanted & ~bits[at]).sum())
                strange[at] += int((bits[at] & ~wanted).sum())
            first += len(addresses)
    drifts = zip(live, missing.tolist(), strange.tolist(), strict=True)
    proof.drifts += [Drift(one.segment.name, partition, lacking, extra) for one, lacking, extra in drifts if lacking or extra]


def _read(node: Any, domain: str, partition: int, first: int, addresses: list[bytes], pairs: list[str]) -> tuple[Chunk, list[Any]]:
    """Records and bits of one moment. The numbers of a chunk begin with a byte of their own, since a chunk has a whole number of bytes."""
    prefix = keys.address_prefix(domain, partition)
    pipe = node.pipeline(transaction=True)
    pipe.mget([prefix + address for address in addresses])
    for pair in pairs:
        pipe.hget(keys.segment_generations(domain, partition), pair)
        pipe.getrange(keys.segment_members(domain, partition, pair), first // 8, (first + CHUNK) // 8 - 1)
    blobs, *rest = pipe.execute()
    if any(text(state) != COMPLETE for state in rest[::2]):
        raise _OvertakenError
    bits = [_unpacked(found, len(addresses)) for found in rest[1::2]]
    return Chunk(first, records_of(blobs)), bits


def _unpacked(packed: bytes, count: int) -> Mask:
    """What is beyond the bits there are is 0. (`unpackbits` itself leaves memory as it was where there is not one byte.)"""
    found = np.zeros(count, bool)
    there = np.unpackbits(np.frombuffer(packed, np.uint8))[:count]
    found[: len(there)] = there
    return found
