"""What a merge changes, as the commit that writes it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from headrace.import_plan import ImportPlan
from headrace.outcomes import Reason, Reject
from profile_store import keys
from profile_store.partitions import Commit
from profile_store.records import encode_records
from streaming.envelope import Header
from streaming.merge.columns import Merged
from streaming.merge.vectors import put


def commit_of(header: Header, plan: ImportPlan, merged: Merged, profiles_before: int) -> Commit:
    """The commit of one merged row batch. New profiles get the next numbers of the partition, in first-seen order."""
    profiles = merged.profiles
    changed = np.flatnonzero(profiles.changed)
    columns = profiles.columns
    numbers_missing = changed[columns["number"].take(pa.array(changed)).is_null().to_numpy(zero_copy_only=False)]
    if len(numbers_missing):
        numbers = pa.array(map(str, range(profiles_before, profiles_before + len(numbers_missing))), pa.string())
        columns = {**columns, "number": put(columns["number"], numbers_missing, numbers, np.ones(len(numbers_missing), bool))}
    if len(changed) != len(profiles.addresses):
        columns = {name: column.take(pa.array(changed)) for name, column in columns.items()}
    blobs = encode_records(columns, plan.width) if len(changed) else []
    prefix = keys.address_prefix(header.domain, header.partition)
    records: list[bytes] = [b""] * (2 * len(blobs))
    records[0::2] = [prefix + profiles.addresses[place] for place in changed.tolist()]
    records[1::2] = blobs
    created = b"".join(profiles.addresses[place] for place in numbers_missing.tolist())
    return Commit(
        header.import_seq, header.batch_no, plan.schema_version, records, created, merged.outcomes, encode_rejects(merged.rejects)
    )


def encode_rejects(rejects: list[Reject]) -> bytes:
    """Rejects as the store keeps them until they are drained; b"" for none. No cell's value is among them: the file still has it."""
    if not rejects:
        return b""
    rows = [[one.line, one.offset, one.column, one.reason.value] for one in rejects]
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), 1)


def decode_rejects(payload: bytes) -> Iterator[Reject]:
    for line, offset, column, reason in json.loads(zlib.decompress(payload)):
        yield Reject(line, offset, column, Reason(reason))
