"""The members of a segment in one partition, all of one commit version, by their profile numbers: no SCAN (docs/adr/0020).

`read_in_chunks` asks little of the server at a time, and says afterwards whether a commit came in between; `read_at_once` can't be disturbed, and
keeps the server from anything else meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import redis

from headrace.address import ADDRESS_BYTES
from headrace.errors import TransientError
from profile_store import keys
from profile_store.membership import Bits, Numbers, live_pair, numbers_of, read_membership
from profile_store.read_addresses import mget_each
from profile_store.store import Store, text

CHUNK = 8_000
"""Members that are read, and held in memory, at a time: about a megabyte."""
SPAN = 1 << 16
"""Numbers among which they lie, at most: the identifiers of a sparse segment are read with those between them."""
AT_ONCE_CHUNK = 1_000
"""Members of a chunk that a script makes: Lua takes no more arguments at a time than some thousands."""

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Members:
    """Some members, in the order of their numbers. `identifiers`: packed, 16 bytes each."""

    numbers: Numbers
    identifiers: bytes
    records: list[bytes]


@dataclass(frozen=True, slots=True)
class Reading:
    """`bits`: of each segment asked for. `chunks`: the first one's members, read as they are asked for.

    `undisturbed()`: whether bits and all members are of one commit version; to be asked behind the last chunk.
    """

    bits: tuple[Bits, ...]
    chunks: Iterator[Members]
    undisturbed: Callable[[], bool]


def is_set(bits: Bits, numbers: Numbers) -> npt.NDArray[np.bool_]:
    """What lies beyond the bits is not set."""
    places = numbers >> 3
    inside = places < len(bits)
    found: npt.NDArray[np.bool_] = inside & ((bits[np.where(inside, places, 0)] & (128 >> (numbers & 7))) != 0) if len(bits) else inside
    return found


def read_in_chunks(store: Store, domain: str, partition: int, segments: Sequence[int]) -> Reading:
    """`segments`: ids. Raises TransientError; TerminalError where one was never materialized."""
    memberships = [read_membership(store, domain, partition, segment) for segment in segments]
    token = memberships[0].token

    def undisturbed() -> bool:
        # Tokens never come round again: what is the same now was the same at every moment between.
        return read_token(store, domain, partition) == token

    numbers = memberships[0].numbers
    return Reading(tuple(one.bits for one in memberships), _chunks(store, domain, partition, numbers), undisturbed)


def read_token(store: Store, domain: str, partition: int) -> str:
    """What the partition's last commit left."""
    key = keys.meta(domain, partition)
    with store.on_node_of(key, "reading a partition's token") as node:
        return text(node.hget(key, "token"))


def _chunks(store: Store, domain: str, partition: int, numbers: Numbers) -> Iterator[Members]:
    key, prefix = keys.ids(domain, partition), keys.address_prefix(domain, partition)
    with store.on_node_of(key, "reading members") as node:
        asked: deque[tuple[Numbers, bytes]] = deque()
        for records in mget_each(node, prefix, _identifiers(node, key, numbers, asked)):
            yield _members(*asked.popleft(), records)
            del records


def _identifiers(node: redis.Redis, key: str, numbers: Numbers, asked: deque[tuple[Numbers, bytes]]) -> Iterator[bytes]:
    """Packed, chunk by chunk; with the numbers whose they are they are put to `asked`."""
    start = 0
    while start < len(numbers):
        first = int(numbers[start])
        stop = min(start + CHUNK, int(np.searchsorted(numbers, first + SPAN)))
        some, start = numbers[start:stop], stop
        between: Any = node.getrange(key, first * ADDRESS_BYTES, (int(some[-1]) + 1) * ADDRESS_BYTES - 1)
        packed = np.frombuffer(between, f"V{ADDRESS_BYTES}")[some - first].tobytes()
        asked.append((some, packed))
        yield packed


def read_at_once(store: Store, domain: str, partition: int, segments: Sequence[int]) -> Reading:
    """The whole partition is in memory. Raises as `read_in_chunks`."""
    for _ in range(_ATTEMPTS):
        pairs = [live_pair(store, domain, segment) for segment in segments]
        bitmaps = [keys.segment_members(domain, partition, pair) for pair in pairs]
        reply = store.run_script(
            "read_members",
            [keys.segment_generations(domain, partition), keys.ids(domain, partition), keys.nothing(domain, partition), *bitmaps],
            [keys.address_prefix(domain, partition), AT_ONCE_CHUNK, *pairs],
        )
        if reply:
            found, identifiers, records = reply
            bits = tuple(np.frombuffer(one, np.uint8) for one in found)
            return Reading(bits, _chunks_at_once(numbers_of(bits[0]), identifiers, records), lambda: True)
    raise TransientError(f"The segments of domain {domain} keep changing while they are read.", code="SEGMENTS_MOVED")


def _chunks_at_once(numbers: Numbers, identifiers: list[bytes], records: list[bytes]) -> Iterator[Members]:
    start = 0
    for packed, lines in zip(identifiers, records, strict=True):
        stop = start + len(packed) // ADDRESS_BYTES
        yield _members(numbers[start:stop], packed, [one or None for one in lines.split(b"\n")])
        start = stop


def _members(numbers: Numbers, identifiers: bytes, records: list[bytes | None]) -> Members:
    """Of the members whose records are there: in one commit version, all."""
    if all(records):
        return Members(numbers, identifiers, records)  # type: ignore[arg-type]
    there = np.array([one is not None for one in records], bool)
    packed = np.frombuffer(identifiers, f"V{ADDRESS_BYTES}")[there].tobytes()
    return Members(numbers[there], packed, [one for one in records if one is not None])
