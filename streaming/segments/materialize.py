"""New and changed segments, built over all profiles while imports go on, and made live all at once (SPEC S5, docs/adr/0019).

From the moment a generation begins in a partition its workers write the bits of every profile they commit, and mark it as touched. So whatever is not
touched has stayed as it was, and may be evaluated at any later time; the rest is already right. What was evaluated and what commits wrote are put
together by one script for each partition. Nothing is ever to be tried again because an import goes on, and whoever dies is followed by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from profile_store import keys, registry
from profile_store.durability import read_durable
from profile_store.generations import complete_generations, drop_old_generations, read_states, switch_complete
from profile_store.membership import BUILDING
from profile_store.registry import StoredDomain
from profile_store.segment_registry import read_segments
from profile_store.store import Store
from streaming.segments.compiled import CompiledSegment, evaluate
from streaming.segments.definitions import compiled_generation
from streaming.segments.reading import each_chunk, with_grown_schema

THREADS = 4
"""Partitions that are read at once: Redis answers one while another is evaluated."""

Report = Callable[[int, int], None]
"""(partitions done, partitions to do)"""


@dataclass(frozen=True, slots=True)
class Materialized:
    """`built`: names of the segments that were built; `waiting`: of those whose change waits for its turn behind imports, built by the next run."""

    domain: str
    built: tuple[str, ...]
    waiting: tuple[str, ...]
    profiles: int


def materialize(store: Store, domain: str, report: Report = lambda _done, _all: None) -> Materialized:
    """Build what is to be built of a domain, and make it live. Nothing to do is the usual case. Raises TransientError: the next run goes on."""
    stored = registry.get_domain(store, domain)
    segments = read_segments(store, domain)
    drop_old_generations(store, domain, stored.partitions)  # where the run before died
    states = read_states(store, domain, stored.partitions)
    wanted = {f"{one.id}.{one.generation}": one for one in segments.defined.segments}
    work = {
        partition: [pair for pair, state in found.items() if state == BUILDING and pair in wanted] for partition, found in states.items()
    }
    work = {partition: pairs for partition, pairs in work.items() if pairs}
    pairs = {pair for found in work.values() for pair in found}
    compiled = {pair: compiled_generation(store, domain, wanted[pair].id, wanted[pair].generation) for pair in pairs}
    profiles = _build_all(store, stored, {partition: {pair: compiled[pair] for pair in found} for partition, found in work.items()}, report)
    switch_complete(store, domain, stored.partitions)
    drop_old_generations(store, domain, stored.partitions)
    built = tuple(wanted[pair].name for pair in wanted if pair in pairs)
    return Materialized(domain, built, read_segments(store, domain).to_build, profiles)


def _build_all(store: Store, domain: StoredDomain, work: Mapping[int, Mapping[str, CompiledSegment]], report: Report) -> int:
    """How many profiles were looked at."""
    profiles = 0
    with ThreadPoolExecutor(THREADS) as pool:
        done = pool.map(lambda one: _build(store, domain, *one), work.items())
        for at, count in enumerate(done, 1):
            profiles += count
            report(at, len(work))
    return profiles


def _build(store: Store, domain: StoredDomain, partition: int, compiled: Mapping[str, CompiledSegment]) -> int:
    """Read in one life of the server, to its end on disk: one that came back without its last second has lost what commits touched, too."""
    key = keys.meta(domain.name, partition)
    count, built = with_grown_schema(
        store, domain, lambda now: read_durable(store, key, lambda node: evaluate_partition(node, now, partition, compiled))
    )
    complete_generations(store, domain.name, partition, built)
    return count


def evaluate_partition(
    node: Any, domain: StoredDomain, partition: int, compiled: Mapping[str, CompiledSegment]
) -> tuple[int, dict[str, bytes]]:
    """How many profiles there are, and the bits of each definition."""
    needs = frozenset(one for each in compiled.values() for one in each.needs)
    parts: dict[str, list[Any]] = {pair: [] for pair in compiled}
    count = 0
    for chunk in each_chunk(node, domain.name, partition):
        columns, there = chunk.columns(len(domain.schema.properties), needs)
        count += int(there.sum())
        for pair, one in compiled.items():
            parts[pair].append(evaluate(one, columns) & there)
    return count, {pair: np.packbits(np.concatenate(found)).tobytes() if found else b"" for pair, found in parts.items()}
