"""The end of an import: its result on record, its floor raised, the turn given on (DESIGN §2, Completion).

Every step may be repeated. Whoever finds a result on record finishes what is left of the end (`resume_end`) and publishes nothing any more: behind a
raised floor nothing would ever be counted again.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from headrace.errors import TerminalError
from headrace.outcomes import Outcomes
from profile_store import ledger, runs, sequence
from profile_store.durability import barrier, partition_marks
from profile_store.ledger import LedgerEntry
from profile_store.sequence import Registration
from streaming.importing.context import ImportContext
from streaming.importing.publish import pinned_version
from streaming.importing.register import identity_of_registration

COMPLETE, FAILED, FAILING = "COMPLETE", "FAILED", "FAILING"
"""FAILING: refused from here on; what it had applied is still to be counted."""


@dataclass(frozen=True, slots=True)
class ImportResult:
    """How an import ended. `reason`: why it failed. `rejects_key`: the object that holds its rejected rows, if there are any."""

    registration: Registration
    state: str
    outcomes: Outcomes
    rejects_key: str | None = None
    reason: str = ""


def close_import(context: ImportContext, result: ImportResult) -> ImportResult:
    """End an import that is complete, or that `fail_import` has counted. Gives the result on record: another run's, where that came first."""
    there = _put_result(context, result)
    if there.state == FAILING:
        return fail_import(context, result.registration, there.reason)
    _record(context, there)
    _give_turn_on(context, result.registration)
    return there


def fail_import(context: ImportContext, registration: Registration, reason: str) -> ImportResult:
    """End an import that can't be finished, with what it has applied on record; one that another run has ended stays as it ended."""
    there = _put_result(context, ImportResult(registration, FAILING, Outcomes(), None, reason))
    if there.state != FAILING:
        return close_import(context, there)
    domain, partitions = registration.domain, registration.needed_plan.partitions
    barrier(context.store, sequence.domain_marks(domain))
    sequence.raise_floors(context.store, domain, partitions, registration.import_seq)
    applied = sequence.progress(context.store, domain, partitions, registration.import_seq).outcomes
    return close_import(context, replace(there, state=FAILED, outcomes=applied))


def fail(context: ImportContext, registration: Registration, error: TerminalError) -> ImportResult:
    """`fail_import` for an error that says something about the file or its configuration.

    Raises it again where Headrace itself is wrong, which must stop the domain, and where Redis refuses us: the import stays open.
    """
    if error.code in ("NOT_CONSERVED", "REDIS_DENIED"):
        raise error
    return fail_import(context, registration, str(error))


def result_of(context: ImportContext, registration: Registration) -> ImportResult | None:
    """What is on record, if anything: then the import is over, or about to be."""
    found = sequence.read_result(context.store, registration.domain, registration.import_seq)
    return None if found is None else _result_from(registration, found)


def resume_end(context: ImportContext, registration: Registration) -> ImportResult | None:
    """Finish the end of an import whose driver died in it; None where it had not come so far."""
    result = result_of(context, registration)
    if result is None:
        return None
    if result.state == FAILING:
        return fail_import(context, registration, result.reason)
    return close_import(context, result)


def _put_result(context: ImportContext, result: ImportResult) -> ImportResult:
    """Gives what is on record now: the first word counts."""
    registration = result.registration
    record: dict[str, Any] = {
        "state": result.state,
        "reason": result.reason,
        "rejects_key": result.rejects_key,
        **result.outcomes.as_dict(),
    }
    return _result_from(registration, sequence.put_result(context.store, registration.domain, registration.import_seq, record))


def _result_from(registration: Registration, record: dict[str, Any]) -> ImportResult:
    outcomes = Outcomes(**{one.name: record[one.name] for one in fields(Outcomes)})
    return ImportResult(registration, record["state"], outcomes, record["rejects_key"], record["reason"])


def _record(context: ImportContext, result: ImportResult) -> None:
    registration = result.registration
    source, domain = registration.needed_source, registration.domain
    entry = LedgerEntry(
        file=source.identity,
        configuration=registration.configuration,
        import_seq=registration.import_seq,
        state="COMPLETE" if result.state == COMPLETE else "FAILED",
        ended_at=runs.now(),
        rows=result.outcomes.rows,
        reason=result.reason,
    )
    ledger.write_entry(context.store, domain, registration.connection, registration.goal, (source.bucket, source.key), entry)
    barrier(context.store, [*partition_marks(domain, range(registration.needed_plan.partitions)), *sequence.domain_marks(domain)])


def _give_turn_on(context: ImportContext, registration: Registration) -> None:
    domain, import_seq, partitions = registration.domain, registration.import_seq, registration.needed_plan.partitions
    sequence.raise_floors(context.store, domain, partitions, import_seq)
    sequence.drop_import(context.store, domain, partitions, import_seq)
    pinned = pinned_version(registration)
    if pinned is not None:
        context.objects_of(registration.connection).unpin(pinned)
    sequence.end(context.store, registration, identity_of_registration(registration))
