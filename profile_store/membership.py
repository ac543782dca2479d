"""Who is in a segment: bits by profile number, kept by the commits that change the profiles (SPEC B7), read partition by partition.

Only a generation that is whole is ever read: a reader that is overtaken by a switch reads again (SPEC S5).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.address import partition_of
from headrace.errors import TerminalError, TransientError
from profile_store import keys
from profile_store.each_partition import ask_each
from profile_store.segment_registry import live_generation, read_segments
from profile_store.store import Store, text

_ATTEMPTS = 5
MOST_ASKED = 100
"""Profiles whose membership is asked for at once (SPEC S6)."""

Bits = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]


def numbers_of(bits: Bits) -> Numbers:
    """The profile numbers whose bit is set, ascending."""
    found: Numbers = np.flatnonzero(np.unpackbits(bits)).astype(np.int64)
    return found


@dataclass(frozen=True, slots=True)
class Membership:
    """`bits`: the highest bit of the first byte is profile 0; what is beyond them is 0. `token`: the version of the partition that they are of."""

    token: str
    bits: Bits

    @property
    def numbers(self) -> Numbers:
        """Of the members, ascending."""
        return numbers_of(self.bits)


def read_membership(store: Store, domain: str, partition: int, segment_id: int) -> Membership:
    """Of one moment. Raises TerminalError SEGMENT_NOT_READY, and NO_SUCH_SEGMENT where it was removed meanwhile; TransientError."""
    for _ in range(_ATTEMPTS):
        pair = live_pair(store, domain, segment_id)
        names = [keys.meta(domain, partition), keys.segment_generations(domain, partition), keys.segment_members(domain, partition, pair)]
        token, state, bits = store.run_script("read_membership", names, [pair])
        if text(state) == COMPLETE:
            return Membership(text(token), np.frombuffer(bits, np.uint8))
    raise segments_moved(domain)


def count_members(store: Store, domain: str, partitions: int, segment_id: int) -> int:
    """How many there are: one BITCOUNT for each partition. Raises as `read_membership`."""
    for _ in range(_ATTEMPTS):
        pair = live_pair(store, domain, segment_id)

        def ask(pipe: Any, partition: int, pair: str = pair) -> None:
            # In this order: a generation that is still whole was so when its bits were counted.
            pipe.bitcount(keys.segment_members(domain, partition, pair))
            pipe.hget(keys.segment_generations(domain, partition), pair)

        found = ask_each(store, domain, range(partitions), ask)
        if all(text(state) == COMPLETE for _, state in found.values()):
            return sum(int(count) for count, _ in found.values())
    raise segments_moved(domain)


def membership_of(store: Store, domain: str, partitions: int, segment_id: int, profiles: Iterable[bytes]) -> dict[bytes, bool | None]:
    """Profile identifier (16 bytes) → whether it is a member; None where there is no such profile. Raises as `read_membership`."""
    asked: dict[int, list[bytes]] = {}
    for one in dict.fromkeys(profiles):
        asked.setdefault(partition_of(one, partitions), []).append(one)
    found: dict[bytes, bool | None] = {}
    for partition, addresses in asked.items():
        for _ in range(_ATTEMPTS):
            pair = live_pair(store, domain, segment_id)
            names = [
                keys.segment_generations(domain, partition),
                keys.segment_members(domain, partition, pair),
                keys.nothing(domain, partition),
            ]
            state, *bits = store.run_script("are_members", names, [pair, keys.address_prefix(domain, partition), *addresses])
            if text(state) == COMPLETE:
                found |= {address: None if bit < 0 else bool(bit) for address, bit in zip(addresses, bits, strict=True)}
                break
        else:
            raise segments_moved(domain)
    return found


COMPLETE, BUILDING = "complete", "building"
"""What a generation is in a partition."""


def live_pair(store: Store, domain: str, segment_id: int) -> str:
    live = live_generation(store, domain, segment_id)
    if live is None:
        raise _not_live(store, domain, segment_id)
    return f"{segment_id}.{live}"


def _not_live(store: Store, domain: str, segment_id: int) -> TerminalError:
    """By its name, the only one that people know."""
    found = read_segments(store, domain).defined.with_id(segment_id)
    if found is None:
        return TerminalError(f"A segment of domain {domain} was removed while it was read.", code="NO_SUCH_SEGMENT")
    return TerminalError(
        f"Segment {found.name} of domain {domain} has not been materialized yet.",
        code="SEGMENT_NOT_READY",
        hint="`headrace segment materialize` builds it, and so does the next run of the deployment materialize-segments.",
    )


def segments_moved(domain: str) -> TransientError:
    """What was read of a segment so far may be of two definitions."""
    return TransientError(f"The segments of domain {domain} keep changing while one is read.", code="SEGMENTS_MOVED")
