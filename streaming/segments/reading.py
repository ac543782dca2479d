"""All profiles of a partition, by their numbers and in columns: `ids` and MGET, no SCAN (DESIGN §3)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from headrace.address import ADDRESS_BYTES, unpacked_addresses
from headrace.errors import UnsupportedFormatError
from profile_store import keys, registry
from profile_store.read_addresses import mget_each
from profile_store.records import POINTER, SUPPRESSION, decode_records
from profile_store.registry import StoredDomain
from profile_store.store import Store
from streaming.merge.vectors import Mask
from streaming.segments.compiled import Columns

T = TypeVar("T")
CHUNK = 5_000
"""Profiles at a time, in memory and in one MGET."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Profiles `first` … `first + len(blobs) - 1` of a partition. `blobs`: their records, None where one was erased."""

    first: int
    blobs: list[bytes | None]

    def columns(self, width: int, needs: Collection[int]) -> tuple[Columns, Mask]:
        """The properties in need, and which numbers are somebody's: an address that was erased and made anew is another number's by now.

        Raises UnsupportedFormatError for a record of a newer format, or a newer schema than one of `width` properties.
        """
        found = decode_records(self.blobs, width, {"number", *(str(one) for one in needs)})
        numbers = found["number"].cast(pa.int64()).fill_null(-1).to_numpy()
        return Columns(found, len(self.blobs)), numbers == np.arange(self.first, self.first + len(self.blobs))


def with_grown_schema(store: Store, domain: StoredDomain, read: Callable[[StoredDomain], T]) -> T:
    """What `read` gives of the domain; where a record has more properties than it knows, since its schema has grown meanwhile, of the domain as it is now.

    Raises UnsupportedFormatError where the schema is the same: a newer release wrote the record.
    """
    while True:
        try:
            return read(domain)
        except UnsupportedFormatError:
            now = registry.get_domain(store, domain.name)
            if now.schema.version == domain.schema.version:
                raise
            domain = now


def read_addresses(node: Any, domain: str, partition: int, first: int, count: int = CHUNK) -> list[bytes]:
    """The profile identifiers with these numbers; fewer at the end. An erased profile's is 16 zeros."""
    return unpacked_addresses(_read_packed(node, domain, partition, first, count))


def each_chunk(node: Any, domain: str, partition: int) -> Iterator[Chunk]:
    """In the order of their numbers. A profile that is made or changed meanwhile may be given in either state. `node`: the partition's."""
    first = 0
    for blobs in mget_each(node, keys.address_prefix(domain, partition), _each_packed(node, domain, partition)):
        yield Chunk(first, records_of(blobs))
        first += len(blobs)


def _each_packed(node: Any, domain: str, partition: int) -> Iterator[bytes]:
    first = 0
    while packed := _read_packed(node, domain, partition, first, CHUNK):
        yield packed
        first += len(packed) // ADDRESS_BYTES


def _read_packed(node: Any, domain: str, partition: int, first: int, count: int) -> bytes:
    found: bytes = node.getrange(keys.ids(domain, partition), first * ADDRESS_BYTES, (first + count) * ADDRESS_BYTES - 1)
    return found


def records_of(blobs: list[bytes | None]) -> list[bytes | None]:
    """None where nobody lives: the profile was erased, and its address may be another's by now."""
    return [None if blob is None or blob == SUPPRESSION or blob[:1] == POINTER[:1] else blob for blob in blobs]
