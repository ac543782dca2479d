"""A group of messages of one partition, applied: decode, look up, merge, commit. Where it can't be, what to do instead.

A group is what waits: some neighbours' messages, and the next row batch. One commit serves them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from headrace.errors import TransientError, UnsupportedFormatError
from headrace.failpoints import step
from headrace.import_plan import ImportPlan
from headrace.outcomes import Outcome
from profile_store import partitions
from profile_store.partitions import Commit, CommitStatus, OutboxEntry, PartitionState
from profile_store.seen import read_seen
from profile_store.segment_bits import read_segment_bits
from profile_store.store import Store
from streaming import metrics
from streaming.envelope import ERASE, EXPIRE, NEIGHBOUR, ROWS, Header, MalformedMessageError, decode_header, decode_rows
from streaming.merge.changes import commit_of
from streaming.merge.erase import erase_group
from streaming.merge.expire import expire_numbers
from streaming.merge.group import Group, MergedGroup, Read, merge_group
from streaming.merge.poison import reject_group
from streaming.neighbours import NumberRange, decode_range, decode_telling
from streaming.segments.live import LiveSegments
from streaming.worker.plans import Planned, Plans

Merge = Callable[[Group, ImportPlan, Read], MergedGroup]


class Verdict(Enum):
    """What became of the messages, and so of their offsets."""

    DONE = auto()
    """Committed now, or before: their offsets may follow once that is durable."""
    LOST = auto()
    """The partition is not as we knew it: take it over again and read again from the committed offset."""
    AHEAD = auto()
    """Something before the row batch is missing: it can't be applied now. The neighbours' messages were dealt with."""


@dataclass(frozen=True, slots=True)
class Result:
    """`outbox`: what this commit leaves for neighbours."""

    verdict: Verdict
    state: PartitionState
    outbox: tuple[OutboxEntry, ...] = ()


class _MovedError(Exception):
    """What lies in the partition is of another commit than the one we know."""


@dataclass(frozen=True, slots=True)
class _Ways:
    """How rows are merged, and the segments that the partition keeps, if it keeps any."""

    merge: Merge
    live: LiveSegments | None


@dataclass(slots=True)
class _Chosen:
    """The messages of a group that are next in their turn, all of one import: that of `header`."""

    header: Header | None = None
    planned: Planned | None = None
    batch_no: int | None = None
    rows: memoryview | None = None
    tellings: list[memoryview] = field(default_factory=list)
    heard: dict[int, tuple[int, int]] = field(default_factory=dict)
    order: memoryview | None = None
    expiry: NumberRange | None = None
    ahead: bool = False

    def accepts(self, header: Header, plans: Plans) -> bool:
        """Whether the message is of the import that Redis knows under its number: one that Redis lost may have had the same."""
        if self.header is None:
            self.planned = plans.plan_of(header.import_seq, header.token)
            if self.planned is None:
                return False
            self.header = header
        return header.token == self.header.token


def apply_messages(store: Store, plans: Plans, state: PartitionState, told: Sequence[bytes], batch: bytes | None) -> Result:
    """Apply neighbours' messages and a row batch to the partition whose `state` we hold.

    Raises TransientError (try again later), UnsupportedFormatError (a newer release has to), MalformedMessageError.
    """
    return _unless_moved(store, plans, state, [*told, *(() if batch is None else (batch,))], merge_group)


def reject_messages(store: Store, plans: Plans, state: PartitionState, told: Sequence[bytes], batch: bytes | None) -> Result:
    """As `apply_messages`, for messages whose rows can't be merged: they are rejected, and the fence passes them."""
    return _unless_moved(store, plans, state, [*told, *(() if batch is None else (batch,))], reject_group)


def _unless_moved(store: Store, plans: Plans, state: PartitionState, values: list[bytes], merge: Merge) -> Result:
    try:
        return _apply(store, plans, state, values, merge)
    except _MovedError:
        return Result(Verdict.LOST, state)


def _apply(store: Store, plans: Plans, state: PartitionState, values: list[bytes], merge: Merge) -> Result:
    messages = [(*decode_header(value), value) for value in values]
    for header, _, _ in messages:
        check_place(header, state)
    if any(header.import_seq > state.floor + 1 for header, _, _ in messages):
        state = _with_new_floor(store, state)
    chosen = _choose(messages, state, plans)
    if chosen.header is None or chosen.planned is None:
        # Without a commit nobody else looks: a Redis that was restored, or failed over, may lack what we take for applied.
        if not partitions.is_ours(store, state):
            return Result(Verdict.LOST, state)
        return Result(Verdict.AHEAD if chosen.ahead else Verdict.DONE, state)
    known = _with_bitmaps(store, state, chosen.planned.connection)
    if known is None:
        return Result(Verdict.LOST, state)
    change, counts = _merge(store, chosen, chosen.header, chosen.planned.plan, known, _Ways(merge, plans.live_segments(known.bits)))
    with step("commit"):
        status, after = partitions.commit(store, known, change)
    metrics.BATCHES.labels(state.domain, status.value.lower()).inc()
    match status:
        case CommitStatus.OK:
            for name in (*Outcome, "cells"):
                metrics.ROWS.labels(state.domain, str(name)).inc(max(0, counts.get(str(name), 0)))
            return Result(Verdict.AHEAD if chosen.ahead else Verdict.DONE, after, change.told)
        case CommitStatus.FLOOR | CommitStatus.CLOSED:
            # The flow raises floors, and closes imports, without a new token.
            return _apply(store, plans, _with_new_floor(store, state), values, merge)
        case CommitStatus.SCHEMA:
            raise TransientError(
                f"Import {change.import_seq} was planned under another schema than the partition has.", code="SCHEMA_MOVED"
            )
        case CommitStatus.SEGMENTS:
            # A change of definitions had its turn, or a generation was completed, or dropped: none of it leaves a new token.
            fresh = _with_bits_read(store, known)
            return Result(Verdict.LOST, state) if fresh is None else _apply(store, plans, fresh, values, merge)
        case CommitStatus.TOKEN | CommitStatus.GAP | CommitStatus.APPLIED:
            return Result(Verdict.LOST, state)


def _choose(messages: list[tuple[Header, int, bytes]], state: PartitionState, plans: Plans) -> _Chosen:
    """What was applied before is skipped. A neighbour's message ahead of its turn is dropped: it is in the outbox, and published again."""
    chosen, current = _Chosen(), state.floor + 1
    for header, start, value in messages:
        if header.kind == NEIGHBOUR:
            first, last = chosen.heard.get(header.source, (header.number, state.heard_of(header.source)))
            if header.import_seq == current and header.number == last + 1 and chosen.accepts(header, plans):
                chosen.heard[header.source] = first, header.number
                chosen.tellings.append(memoryview(value)[start:])
            continue
        fence = state.fence_of(header.import_seq)
        if header.import_seq < current or header.number <= fence or header.import_seq == state.closing:
            continue
        if header.import_seq == current and header.number == fence + 1 and chosen.accepts(header, plans):
            chosen.batch_no = header.number
            if header.kind == ERASE:
                chosen.order = memoryview(value)[start:]
            elif header.kind == EXPIRE:
                chosen.expiry = decode_range(memoryview(value)[start:])
            else:
                chosen.rows = memoryview(value)[start:]
        else:
            metrics.BATCHES.labels(state.domain, "gap").inc()
            chosen.ahead = True
    return chosen


def _with_bitmaps(store: Store, state: PartitionState, connection: str) -> PartitionState | None:
    """With what the import's connection has imported in this partition, and the bits of its segments, each read again only where it is not known yet.

    None: the partition is not as we left it, so these may be bits that a rollback takes away again, and our token alone would not tell.
    """
    known: PartitionState | None = state
    if connection != ("" if state.seen is None else state.seen.connection):
        known = _with_seen_read(store, state, connection) if connection else replace(state, seen=None)
    if known is None or not known.segments or known.bits is not None:
        return known
    return _with_bits_read(store, known)


def _with_seen_read(store: Store, state: PartitionState, connection: str) -> PartitionState | None:
    token, seen = read_seen(store, state.domain, state.partition, connection)
    return replace(state, seen=seen) if token == state.token else None


def _with_bits_read(store: Store, state: PartitionState) -> PartitionState | None:
    token, bits = read_segment_bits(store, state.domain, state.partition)
    return replace(state, segments=bits.word, bits=bits) if token == state.token else None


def _merge(
    store: Store, chosen: _Chosen, header: Header, plan: ImportPlan, state: PartitionState, ways: _Ways
) -> tuple[Commit, dict[str, int]]:
    group = Group(
        header.import_seq,
        None if chosen.rows is None else decode_rows(chosen.rows),
        [decode_telling(body) for body in chosen.tellings],
        None if chosen.order is None else decode_telling(chosen.order),
    )
    erases = group.order is not None or any(len(one.erasures) for one in group.tellings)

    def read(wanted: list[bytes]) -> list[bytes | None]:
        with step("read_profiles"):
            found = partitions.read_of(store, state, wanted)
        if found is None:
            raise _MovedError
        return found

    if chosen.expiry is not None:
        identifiers = partitions.read_identifiers(store, state.domain, state.partition, chosen.expiry.first, chosen.expiry.end)
        merged = expire_numbers(identifiers, chosen.expiry.before, group, plan, read)
    else:
        merged = (erase_group if erases else ways.merge)(group, plan, read)
    return commit_of(header, chosen.batch_no, chosen.heard, plan, merged, state, ways.live), merged.counts


def check_place(header: Header, state: PartitionState) -> None:
    """A message in a place that is not its own would be written under keys of another partition, past that one's fence."""
    if (header.domain, header.partition) != (state.domain, state.partition):
        raise MalformedMessageError(f"it is for partition {header.partition} of domain {header.domain}")
    if header.kind not in (ROWS, NEIGHBOUR, ERASE, EXPIRE):
        raise UnsupportedFormatError(
            f"A message is of kind '{header.kind}', which this release does not know.",
            hint="A newer Headrace published it: upgrade this worker.",
        )


def _with_new_floor(store: Store, state: PartitionState) -> PartitionState:
    """The flow raises the floor between imports, without a new token: read it again."""
    floor, closing = partitions.read_floor(store, state.domain, state.partition)
    fences = {import_seq: batch for import_seq, batch in state.fences.items() if import_seq > floor}
    return replace(state, floor=floor, fences=fences, closing=closing)
