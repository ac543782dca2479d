"""The generations of a domain's segments in its partitions: begun by a change of definitions, built, completed, and dropped (docs/adr/0019).

A *pair* is `<segment id>.<generation>`. A partition's `segment-generations` says of each pair that has bits there whether it is being built or whole.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

from headrace.failpoints import step
from headrace.segment_set import decode_segments
from profile_store import keys, segment_registry
from profile_store.durability import write_lost
from profile_store.each_partition import ask_each, ask_each_durable
from profile_store.membership import COMPLETE
from profile_store.registration import Registration
from profile_store.store import Store, text


def begin_generations(store: Store, partitions: int, registration: Registration) -> None:
    """Raise every partition's floor over a change of segments, and have it keep bits of what the change defines.

    Durable before it returns. Raises TransientError, also where Redis came back without it: it is repeated.
    """
    domain, import_seq = registration.domain, registration.import_seq
    pairs = [f"{one.id}.{one.generation}" for one in decode_segments(registration.segments, import_seq).segments]
    for partition in range(partitions):
        with step("begin_generations"):
            store.run_script("begin_generations", _keys(domain, partition), [import_seq, keys.partition_tag(domain, partition), *pairs])

    def ask(pipe: Any, partition: int) -> None:
        pipe.hget(keys.meta(domain, partition), "floor")

    floors = ask_each_durable(store, domain, range(partitions), ask)
    if any(int(floor or 0) < import_seq for [floor] in floors.values()):
        raise write_lost(f"import {import_seq} of domain {domain}")


def read_states(store: Store, domain: str, partitions: int) -> dict[int, dict[str, str]]:
    """Partition → pair → `building` or `complete`, as they are on disk."""

    def ask(pipe: Any, partition: int) -> None:
        pipe.hgetall(keys.segment_generations(domain, partition))

    found = ask_each_durable(store, domain, range(partitions), ask)
    return {partition: {text(pair): text(state) for pair, state in states.items()} for partition, [states] in found.items()}


def complete_generations(store: Store, domain: str, partition: int, built: dict[str, bytes]) -> None:
    """Pair → bits of all profiles that no commit has touched since the generation began. Not durable by itself: `read_states` waits for it."""
    arguments = [keys.partition_tag(domain, partition), secrets.token_hex(8), *(one for pair in built.items() for one in pair)]
    with step("complete_generations"):
        store.run_script("complete_generations", _keys(domain, partition), arguments)


def switch_complete(store: Store, domain: str, partitions: int) -> int:
    """Make live what is whole in every partition: how many segments changed. Raises TransientError: repeat it."""
    states = read_states(store, domain, partitions)
    segments = segment_registry.read_segments(store, domain)
    ready = {
        one.id: one.generation
        for one in segments.defined.segments
        if segments.live.get(one.id) != one.generation
        and all(found.get(f"{one.id}.{one.generation}") == COMPLETE for found in states.values())
    }
    with step("switch_live"):
        return segment_registry.switch_live(store, domain, ready)


def drop_old_generations(store: Store, domain: str, partitions: int) -> None:
    """What is older than what is live. Repeatable; a reader that still holds an old name reads again."""
    segments = segment_registry.read_segments(store, domain)

    def is_old(pair: str) -> bool:
        identity, generation = map(int, pair.split("."))
        return generation < segments.live.get(identity, 0)

    def ask(pipe: Any, partition: int) -> None:
        pipe.hkeys(keys.segment_generations(domain, partition))

    for partition, [pairs] in ask_each(store, domain, range(partitions), ask).items():
        old = [text(pair) for pair in pairs if is_old(text(pair))]
        if old:
            with step("drop_generations"):
                _drop(store, domain, partition, old)


def _drop(store: Store, domain: str, partition: int, pairs: Iterable[str]) -> None:
    store.run_script("drop_generations", _keys(domain, partition), [keys.partition_tag(domain, partition), secrets.token_hex(8), *pairs])


def _keys(domain: str, partition: int) -> list[str]:
    return [keys.meta(domain, partition), keys.segment_generations(domain, partition), keys.nothing(domain, partition)]
