"""Profiles as a reader wants them: one by its address, or all of a domain. What workers read is `partitions.read_profiles`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from headrace.address import ADDRESS_BYTES, partition_of, unpacked_addresses
from profile_store import keys
from profile_store.partitions import read_profiles
from profile_store.records import SUPPRESSION, decode_record, pointed_at
from profile_store.registry import StoredDomain
from profile_store.store import Store

PAGE = 1_000


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """`identifier`: 32 hex characters. `values`: by property name, in the schema's order; canonical texts, tuples of them for lists."""

    identifier: str
    values: dict[str, str | tuple[str, ...]]


def read_profile(store: Store, domain: StoredDomain, address: bytes) -> StoredProfile | None:
    """The profile that an address (16 bytes) is bound to, wherever it lives; None where there is none. Raises UnsupportedFormatError."""
    for _ in range(2):
        (blob,) = read_profiles(store, domain.name, partition_of(address, domain.partitions), [address])
        if blob is None or blob == SUPPRESSION:
            return None
        profile = pointed_at(blob)
        if profile is None:
            return decode_profile(domain, address, blob)
        address = profile
    return None


def each_profile(store: Store, domain: StoredDomain) -> Iterator[StoredProfile]:
    """All profiles, partition by partition in the order they were made; `PAGE` at a time in memory.

    Not a snapshot: a profile made or changed meanwhile may be given in either state.
    """
    for partition in range(domain.partitions):
        yield from _of_partition(store, domain, partition)


def _of_partition(store: Store, domain: StoredDomain, partition: int) -> Iterator[StoredProfile]:
    key, start = keys.ids(domain.name, partition), 0
    while True:
        with store.on_node_of(key, "listing profiles") as node:
            packed: Any = node.getrange(key, start, start + PAGE * ADDRESS_BYTES - 1)
        if not packed:
            return
        addresses = unpacked_addresses(packed)
        for address, blob in zip(addresses, read_profiles(store, domain.name, partition, addresses), strict=True):
            if blob is not None:
                yield decode_profile(domain, address, blob)
        start += len(packed)


def decode_profile(domain: StoredDomain, address: bytes, blob: bytes) -> StoredProfile:
    """Of the record that lies at `address`. Raises UnsupportedFormatError."""
    active = domain.schema.active
    record = decode_record(blob, frozenset(one.id for one in domain.schema.properties if one.multiple))
    return StoredProfile(address.hex(), {one.name: record.values[one.id] for one in active if one.id in record.values})
