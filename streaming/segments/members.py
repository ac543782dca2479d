"""The members of a segment, with their values: shown, and written to S3 as a snapshot (SPEC S6).

Who is a member is of one version of each partition, and of one definition in all; values are as they are when they are read, a moment later. An export has
both of one version.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.orc

from headrace.address import ADDRESS_BYTES
from object_store.store import ObjectStore
from profile_store import keys
from profile_store.membership import live_pair, read_membership, segments_moved
from profile_store.profiles import StoredProfile, decode_profile
from profile_store.read_addresses import mget_addresses
from profile_store.registry import StoredDomain
from profile_store.segment_registry import StoredSegment
from profile_store.store import Store
from streaming.segments.reading import CHUNK, records_of

SnapshotFormat = Literal["csv", "jsonl", "orc"]
IDENTIFIER = "profile_identifier"
_COPY = 1 << 20


def each_member(store: Store, domain: StoredDomain, segment: StoredSegment) -> Iterator[StoredProfile]:
    """Partition by partition, in the order of their numbers; CHUNK at a time in memory.

    Raises as `read_membership`; at the end TransientError SEGMENTS_MOVED, where the members of another definition came to be live meanwhile (SPEC S5).
    """
    live = live_pair(store, domain.name, segment.id)
    for partition in range(domain.partitions):
        numbers = list(map(int, read_membership(store, domain.name, partition, segment.id).numbers))
        prefix = keys.address_prefix(domain.name, partition)
        for start in range(0, len(numbers), CHUNK):
            some = numbers[start : start + CHUNK]
            with store.on_node_of(keys.meta(domain.name, partition), "reading members") as node:
                packed: Any = node.getrange(keys.ids(domain.name, partition), some[0] * ADDRESS_BYTES, (some[-1] + 1) * ADDRESS_BYTES - 1)
                places = ((number - some[0]) * ADDRESS_BYTES for number in some)
                addresses = [packed[place : place + ADDRESS_BYTES] for place in places]
                blobs = mget_addresses(node, prefix, b"".join(addresses))
            for address, blob in zip(addresses, records_of(blobs), strict=True):
                if blob is not None:
                    yield decode_profile(domain, address, blob)
    if live_pair(store, domain.name, segment.id) != live:
        raise segments_moved(domain.name)


def write_snapshot(
    objects: ObjectStore, bucket: str, key: str, members: Iterator[StoredProfile], domain: StoredDomain, kind: SnapshotFormat
) -> int:
    """How many members were written. The object is there whole, or not at all."""
    names = [one.name for one in domain.schema.active]
    lists = {one.name for one in domain.schema.active if one.multiple}
    with TemporaryFile() as file:
        count = _WRITERS[kind](file, members, names, lists)
        file.seek(0)
        with objects.open_write(bucket, key) as out:
            while data := file.read(_COPY):
                out.write(data)
    return count


def _write_csv(file: BinaryIO, members: Iterator[StoredProfile], names: list[str], _lists: set[str]) -> int:
    """Lists are joined by `|`."""
    text = io.TextIOWrapper(file, "utf-8", newline="")
    writer = csv.writer(text)
    writer.writerow([IDENTIFIER, *names])
    count = 0
    for count, one in enumerate(members, 1):  # noqa: B007 - how many there were
        values = (one.values.get(name, "") for name in names)
        writer.writerow([one.identifier, *(value if isinstance(value, str) else "|".join(value) for value in values)])
    text.flush()
    text.detach()
    return count


def _write_jsonl(file: BinaryIO, members: Iterator[StoredProfile], _names: list[str], _lists: set[str]) -> int:
    """What a profile has no value for is left out."""
    count = 0
    for count, one in enumerate(members, 1):  # noqa: B007 - how many there were
        file.write(json.dumps({IDENTIFIER: one.identifier, **one.values}, ensure_ascii=False).encode() + b"\n")
    return count


def _write_orc(file: BinaryIO, members: Iterator[StoredProfile], names: list[str], lists: set[str]) -> int:
    schema = pa.schema([(IDENTIFIER, pa.string()), *((name, pa.list_(pa.string()) if name in lists else pa.string()) for name in names)])
    count, rows = 0, list[dict[str, Any]]()
    with pyarrow.orc.ORCWriter(file) as writer:
        for one in members:
            rows.append({IDENTIFIER: one.identifier, **one.values})
            count += 1
            if len(rows) == CHUNK:
                writer.write(pa.Table.from_pylist(rows, schema))
                rows = []
        writer.write(pa.Table.from_pylist(rows, schema))
    return count


_WRITERS: dict[SnapshotFormat, Callable[[BinaryIO, Iterator[StoredProfile], list[str], set[str]], int]] = {
    "csv": _write_csv,
    "jsonl": _write_jsonl,
    "orc": _write_orc,
}
