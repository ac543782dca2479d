"""What a merged group changes, as the commit that writes it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.import_plan import ImportPlan
from headrace.outcomes import Reason, Reject
from profile_store.partitions import Commit, OutboxEntry, PartitionState
from profile_store.records import encode_lines
from profile_store.seen import Span
from streaming.envelope import NEIGHBOUR, Header, encode_body
from streaming.merge.group import MergedGroup
from streaming.merge.step import Profiles
from streaming.merge.vectors import put, take
from streaming.neighbours import NO_CLAIMS, Telling, encode_telling
from streaming.segments.live import LiveSegments

ROW_BYTES, CLAIMS = 600_000, 8_000
"""What one message to a neighbour takes, at most: so it stays under Kafka's 1 MB."""


def commit_of(
    header: Header,
    batch_no: int | None,
    heard: dict[int, tuple[int, int]],
    plan: ImportPlan,
    merged: MergedGroup,
    state: PartitionState,
    live: LiveSegments | None = None,
) -> Commit:
    """The commit of one merged group of the import that `header` names. New profiles get the next numbers of the partition, in first-seen order.

    `live`: the segments that the partition keeps, if it keeps any.
    """
    created = _number_new(merged.profiles, state)
    changed = _changed(merged.profiles)
    addresses, records = _records(plan, merged.profiles, changed)
    return Commit(
        header.import_seq,
        batch_no,
        plan.schema_version,
        merged.counts,
        addresses,
        records,
        created,
        encode_rejects(merged.rejects),
        b"".join(address + profile for address, profile in merged.pointers.items()),
        heard,
        _outbox(header, merged.tellings, state),
        b"".join(address for address, suppressed in merged.erased.items() if not suppressed),
        b"".join(address for address, suppressed in merged.erased.items() if suppressed),
        tuple(merged.erased_numbers),
        _seen(merged.profiles, state),
        () if live is None else live.changes(changed, state.profiles, {one.property_id for one in plan.mappings}, merged.erased_numbers),
    )


def _number_new(profiles: Profiles, state: PartitionState) -> bytes:
    """Give new profiles their numbers; their identifiers, packed, in that order."""
    new = np.flatnonzero(profiles.changed)
    if not len(new):
        return b""
    columns = profiles.columns
    new = new[columns["number"].take(pa.array(new)).is_null().to_numpy(zero_copy_only=False)]
    if len(new):
        numbers = pa.array(np.arange(state.profiles, state.profiles + len(new))).cast(pa.string())
        columns["number"] = put(columns["number"], new, numbers, np.ones(len(new), bool))
    return b"".join(profiles.addresses[place] for place in new.tolist())


def _changed(profiles: Profiles) -> dict[str, Any]:
    """The columns of the profiles that change."""
    changed = np.flatnonzero(profiles.changed)
    if len(changed) == len(profiles.addresses):
        return profiles.columns
    return {name: column.take(pa.array(changed)) for name, column in profiles.columns.items()} if len(changed) else {}


def _records(plan: ImportPlan, profiles: Profiles, changed: dict[str, Any]) -> tuple[bytes, bytes]:
    """The addresses of changed profiles, and their records: packed, as a commit takes them."""
    places = np.flatnonzero(profiles.changed).tolist()
    if not places:
        return b"", b""
    return b"".join(profiles.addresses[place] for place in places), encode_lines(changed, plan.width)


def _seen(profiles: Profiles, state: PartitionState) -> tuple[Span, ...]:
    """What changes in the profiles that the connection has imported (SPEC R3)."""
    imported = np.flatnonzero(profiles.imported)
    if state.seen is None or not len(imported):
        return ()
    return state.seen.spans_with(take(profiles.columns["number"], imported).cast(pa.int64()).to_numpy())


def _outbox(header: Header, tellings: dict[int, list[Telling]], state: PartitionState) -> tuple[OutboxEntry, ...]:
    """The messages for the neighbours, each with the next number of those from here to there."""
    entries = []
    for target, parts in tellings.items():
        number = state.told.get(target, -1)
        for telling in split_telling(parts):
            number += 1
            described = Header(state.domain, header.import_seq, target, number, header.token, NEIGHBOUR, state.partition)
            entries.append(OutboxEntry(target, number, encode_body(described, encode_telling(telling))))
    return tuple(entries)


def split_telling(parts: list[Telling]) -> Iterator[Telling]:
    """What one neighbour is told, in as few messages as fit; none of them is empty.

    A denial is counted as settled by the message that has it: an import is over for the flow when as many claims are settled as were made, and may
    then be closed before a later message is read.
    """
    rows = [one.rows for one in parts if one.rows is not None]
    claims = np.concatenate([one.claims for one in parts])
    erasures = np.concatenate([one.erasures for one in parts])
    denied = np.concatenate([one.denied for one in parts])
    settled = sum(one.settled for one in parts)
    if len(claims) + len(denied) <= CLAIMS and sum(one.nbytes for one in rows) <= ROW_BYTES:
        yield Telling(claims, settled, denied, pa.concat_batches(rows) if rows else None, erasures)
        return
    yield from (Telling(rows=one) for one in rows)
    later = [denied[start : start + CLAIMS] for start in range(CLAIMS, len(denied), CLAIMS)]
    if settled or len(erasures):
        yield Telling(NO_CLAIMS, settled - sum(map(len, later)), denied[:CLAIMS], erasures=erasures)
    yield from (Telling(settled=len(one), denied=one) for one in later)
    yield from (Telling(claims[start : start + CLAIMS]) for start in range(0, len(claims), CLAIMS))


def encode_rejects(rejects: list[Reject]) -> bytes:
    """Rejects, in file order, as the store keeps them until they are drained; b"" for none. No cell's value is among them: the file still has it."""
    if not rejects:
        return b""
    rows = [[one.line, one.offset, one.column, one.reason.value, one.property] for one in sorted(rejects, key=lambda one: one.offset)]
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), 1)


def decode_rejects(payload: bytes) -> Iterator[Reject]:
    for line, offset, column, reason, *name in json.loads(zlib.decompress(payload)):
        yield Reject(line, offset, column, Reason(reason), *name)  # a worker of the first releases named no property


def first_offset(payload: bytes) -> int:
    """The byte offset of the first reject of a payload, which is not read any further."""
    start = zlib.decompressobj().decompress(payload, 64)
    return int(start.split(b",", 2)[1])
