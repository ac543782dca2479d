"""The end of an import: its result on record, its floor raised, the turn given on (DESIGN §2, Completion)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from headrace.outcomes import Outcomes
from profile_store import ledger, runs, sequence
from profile_store.durability import barrier, partition_marks
from profile_store.ledger import LedgerEntry
from profile_store.sequence import Registration
from streaming.importing.context import ImportContext
from streaming.importing.publish import pinned_version
from streaming.importing.register import identity_of_registration


@dataclass(frozen=True, slots=True)
class ImportResult:
    """How an import ended. `reason`: why it failed. `rejects_key`: the object that holds its rejected rows, if there are any."""

    registration: Registration
    state: str
    outcomes: Outcomes
    rejects_key: str | None = None
    reason: str = ""


def freeze(context: ImportContext, registration: Registration) -> Outcomes:
    """Refuse the import's messages from here on, and give what it has applied: for one that can't be finished."""
    domain, partitions = registration.domain, registration.needed_plan.partitions
    sequence.raise_floors(context.store, domain, partitions, registration.import_seq)
    return sequence.progress(context.store, domain, partitions, registration.import_seq).outcomes


def close_import(context: ImportContext, result: ImportResult) -> None:
    """Each step may be repeated: whoever takes the import up after a crash does the same again."""
    registration = result.registration
    store, domain, import_seq = context.store, registration.domain, registration.import_seq
    source, partitions = registration.needed_source, registration.needed_plan.partitions
    entry = LedgerEntry(
        file=source.identity,
        configuration=registration.configuration,
        import_seq=import_seq,
        state="COMPLETE" if result.state == "COMPLETE" else "FAILED",
        ended_at=runs.now(),
        rows=result.outcomes.rows,
        reason=result.reason,
    )
    sequence.put_result(
        store,
        domain,
        import_seq,
        {"state": result.state, "reason": result.reason, "rejects_key": result.rejects_key, **asdict(result.outcomes)},
    )
    ledger.write_entry(store, domain, registration.connection, registration.goal, (source.bucket, source.key), entry)
    barrier(store, [*partition_marks(domain, range(partitions)), *sequence.domain_marks(domain)])
    sequence.raise_floors(store, domain, partitions, import_seq)
    sequence.drop_import(store, domain, partitions, import_seq)
    pinned = pinned_version(registration)
    if pinned is not None:
        context.objects_of(registration.connection).unpin(pinned)
    sequence.end(store, registration, identity_of_registration(registration))
