"""Whether any profile of a domain holds a value of a property: then its shape can't change any more (SPEC M9)."""

from __future__ import annotations

from typing import Any

from headrace.address import ADDRESS_BYTES
from profile_store import keys
from profile_store.partitions import read_packed
from profile_store.records import decode_records
from profile_store.registry import StoredDomain
from profile_store.store import Store

_CHUNK = 8_000


def holds_values(store: Store, domain: StoredDomain, property_id: int) -> bool:
    """Profiles are read until one does: all of them, where none does. Right for a moment in which nothing is imported."""
    return any(_in_partition(store, domain, partition, str(property_id)) for partition in range(domain.partitions))


def _in_partition(store: Store, domain: StoredDomain, partition: int, column: str) -> bool:
    key, start, width = keys.ids(domain.name, partition), 0, len(domain.schema.properties)
    while True:
        with store.on_node_of(key, "listing profiles") as node:
            packed: Any = node.getrange(key, start, start + _CHUNK * ADDRESS_BYTES - 1)
        if not packed:
            return False
        values = decode_records(read_packed(store, domain.name, partition, packed), width, {column})[column]
        if values.null_count < len(values):
            return True
        start += len(packed)
