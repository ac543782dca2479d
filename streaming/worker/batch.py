"""One message, applied: decode, look up, merge, commit. Where it can't be, what to do instead."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

from headrace.errors import TransientError, UnsupportedFormatError
from profile_store import partitions
from profile_store.partitions import CommitStatus, PartitionState
from profile_store.store import Store
from streaming import metrics
from streaming.envelope import Header, MalformedMessageError, decode, decode_header
from streaming.merge.changes import commit_of
from streaming.merge.columns import distinct_addresses, merge_batch
from streaming.worker.plans import Plans


class Verdict(Enum):
    """What became of a message, and so of its offset."""

    DONE = auto()
    """Committed now, or before: its offset may follow once that is durable."""
    LOST = auto()
    """The partition is not as we knew it: take it over again and read again from the committed offset."""
    AHEAD = auto()
    """Something before it is missing: it can't be applied now."""


@dataclass(frozen=True, slots=True)
class Result:
    """`applied`: (import_seq, batch_no) that the partition has, now that the message is dealt with."""

    verdict: Verdict
    state: PartitionState
    applied: tuple[int, int]


def apply_message(store: Store, plans: Plans, state: PartitionState, value: bytes) -> Result:
    """Apply one message to the partition whose `state` we hold.

    Raises TransientError (try again later), UnsupportedFormatError (a newer release has to), MalformedMessageError.
    """
    header, _ = decode_header(value)
    _check_place(header, state)
    if header.import_seq <= state.floor or header.batch_no <= state.fence_of(header.import_seq):
        return Result(Verdict.DONE, state, (header.import_seq, header.batch_no))
    if header.import_seq > state.floor + 1:
        state = _with_new_floor(store, state)
    if header.import_seq > state.floor + 1 or header.batch_no > state.fence_of(header.import_seq) + 1:
        metrics.BATCHES.labels(state.domain, "gap").inc()
        return _ahead(state)
    plan = plans.plan_of(header.import_seq)
    if plan is None:
        return _ahead(state)
    rows = decode(value).rows
    addresses, codes = distinct_addresses(rows)
    blobs = partitions.read_profiles(store, state.domain, state.partition, addresses)
    merged = merge_batch(rows, addresses, codes, blobs, plan)
    change = commit_of(header, plan, merged, state.profiles)
    status, after = partitions.commit(store, state, change)
    metrics.BATCHES.labels(state.domain, status.value.lower()).inc()
    if status is CommitStatus.OK:
        for outcome, count in merged.outcomes.as_dict().items():
            metrics.ROWS.labels(state.domain, outcome).inc(count)
    verdict = _verdict(status, header)
    return _ahead(after) if verdict is Verdict.AHEAD else Result(verdict, after, (header.import_seq, header.batch_no))


def _ahead(state: PartitionState) -> Result:
    current = state.floor + 1
    return Result(Verdict.AHEAD, state, (current, state.fence_of(current)))


def _check_place(header: Header, state: PartitionState) -> None:
    """A message in a place that is not its own would be written under keys of another partition, past that one's fence."""
    if (header.domain, header.partition) != (state.domain, state.partition):
        raise MalformedMessageError(f"it is for partition {header.partition} of domain {header.domain}")
    if header.kind != "rows":
        raise UnsupportedFormatError(
            f"A message is of kind '{header.kind}', which this release does not know.",
            hint="A newer Headrace published it: upgrade this worker.",
        )


def _verdict(status: CommitStatus, header: Header) -> Verdict:
    match status:
        case CommitStatus.OK | CommitStatus.APPLIED | CommitStatus.FLOOR:
            return Verdict.DONE
        case CommitStatus.TOKEN:
            return Verdict.LOST
        case CommitStatus.GAP:
            return Verdict.AHEAD
        case CommitStatus.SCHEMA:
            raise TransientError(
                f"Import {header.import_seq} was planned under another schema than the partition has.", code="SCHEMA_MOVED"
            )


def _with_new_floor(store: Store, state: PartitionState) -> PartitionState:
    """The flow raises the floor between imports, without a new token: read it again."""
    floor = partitions.read_floor(store, state.domain, state.partition)
    fences = {import_seq: batch for import_seq, batch in state.fences.items() if import_seq > floor}
    return replace(state, floor=floor, fences=fences)
