"""The end of an import: its result on record, its floor raised, its file noted and the turn given on (DESIGN §2, Completion).

Every step may be repeated. Whoever finds a result on record finishes what is left of the end (`resume_end`) and publishes nothing any more: behind a
raised floor nothing would ever be counted again.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from headrace.errors import TerminalError
from headrace.failpoints import step
from headrace.outcomes import Outcomes
from profile_store import counts, runs, sequence
from profile_store.ledger import LedgerEntry
from profile_store.registration import Registration
from streaming.importing.announce import announce_end
from streaming.importing.await_outcomes import await_silence
from streaming.importing.context import ImportContext, ImportEndedError
from streaming.importing.pinned_copy import unpin_source
from streaming.importing.register import identity_of_registration
from streaming.importing.write_rejects import write_rejects_of_failed

_OF_NO_FILE = frozenset(
    {"NOT_CONSERVED", "REDIS_DENIED", "KAFKA_DENIED", "WRONG_TOPIC", "OTHER_SPLITTER", "NO_MASTER_KEY", "OTHER_MASTER_KEY"}
)
COMPLETE, FAILED, FAILING = sequence.COMPLETE, sequence.FAILED, sequence.FAILING


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
    _end(context, there)
    return there


def fail_import(context: ImportContext, registration: Registration, reason: str) -> ImportResult:
    """End an import that can't be finished, with what it has applied, and rejected, on record; one that another run has ended stays as it ended."""
    there = _put_result(context, ImportResult(registration, FAILING, Outcomes(), None, reason))
    if there.state != FAILING:
        return close_import(context, there)
    domain, partitions = registration.domain, registration.needed_plan.partitions
    counts.close_rows(context.store, domain, partitions, registration.import_seq)
    await_silence(context, registration)
    counts.raise_floors(context.store, domain, partitions, registration.import_seq)
    applied = counts.progress(context.store, domain, partitions, registration.import_seq).outcomes
    try:
        rejects = write_rejects_of_failed(context, registration, applied.rejected + applied.cells)
    except ImportEndedError:
        return close_import(context, replace(there, state=FAILED, outcomes=applied))  # as the run ended it that came first
    why = " ".join(filter(None, (there.reason, rejects.problem)))
    return close_import(context, replace(there, state=FAILED, outcomes=applied, rejects_key=rejects.key, reason=why))


def fail(context: ImportContext, registration: Registration, error: TerminalError) -> ImportResult:
    """`fail_import` for an error that says something about the file or its configuration.

    Raises it again where it says nothing about them (Headrace is wrong, Redis refuses us, another release has to go on): the import stays open.
    """
    if error.code in _OF_NO_FILE:
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
    with step("result"):
        there = sequence.put_result(context.store, registration.domain, registration.import_seq, record)
    return _result_from(registration, there)


def _result_from(registration: Registration, record: dict[str, Any]) -> ImportResult:
    outcomes = Outcomes(**{one.name: record[one.name] for one in fields(Outcomes)})
    return ImportResult(registration, record["state"], outcomes, record["rejects_key"], record["reason"])


def _end(context: ImportContext, result: ImportResult) -> None:
    registration = result.registration
    domain, import_seq, partitions = registration.domain, registration.import_seq, registration.needed_plan.partitions
    counts.raise_floors(context.store, domain, partitions, import_seq)
    counts.drop_import(context.store, domain, partitions, import_seq)
    identity = identity_of_registration(registration)
    unpin_source(context, registration, identity)
    announce_end(context, registration, result.state)
    with step("end"):
        sequence.end(context.store, registration, identity, _entry_of(result))


def _entry_of(result: ImportResult) -> LedgerEntry | None:
    """What the ledger is told; None where there is no file, where each replayed reject is known by itself, and where a job knows its one import."""
    registration = result.registration
    if registration.source is None or registration.replay is not None or registration.upload:
        return None
    return LedgerEntry(
        file=registration.source.identity,
        configuration=registration.configuration,
        import_seq=registration.import_seq,
        state="COMPLETE" if result.state == COMPLETE else "FAILED",
        ended_at=runs.now(),
        rows=result.outcomes.rows,
        reason=result.reason,
    )
