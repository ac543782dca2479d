"""Wait until every row of an import is counted, durably: conservation is the completion test (SPEC R4)."""

from __future__ import annotations

import time

from headrace.errors import TerminalError
from headrace.outcomes import Outcomes
from profile_store import counts, sequence
from profile_store.registration import Registration
from streaming.importing.context import ImportContext, ImportEndedError, Progress
from streaming.importing.publish import publish_rows
from streaming.split.splitter import SplitTotals

LOOK_SECONDS = 0.1
STALLED_SECONDS = 60.0
"""Without a batch applied for so long, the messages may be gone (a wiped topic): they are published again, which is harmless if they are not."""


def await_outcomes(context: ImportContext, registration: Registration, totals: SplitTotals) -> Outcomes:
    """The import's outcomes, those of the splitter included, once they add up to the rows read and are durable. Raises ImportEndedError."""
    domain, partitions = registration.domain, registration.needed_plan.partitions
    moved, patience = time.monotonic(), STALLED_SECONDS
    before: counts.Progress | None = None
    while True:
        progress = counts.progress(context.store, domain, partitions, registration.import_seq)
        outcomes = progress.outcomes + Outcomes(rejected=totals.rejected)
        context.report(Progress("merging", outcomes.rows, totals.rows, _waiting(progress.fences, totals.batches)))
        if outcomes.rows > totals.rows:
            raise TerminalError(
                f"Import {registration.import_seq} of domain {domain} counted {outcomes.rows} rows of {totals.rows}.",
                code="NOT_CONSERVED",
                hint="This is a bug of Headrace; nothing more is imported into the domain. Please report it.",
            )
        counted = outcomes.rows == totals.rows and progress.in_flight.over and _all_applied(progress.fences, totals.batches)
        if counted and counts.durable_progress(context.store, domain, partitions, registration.import_seq) == progress:
            return outcomes
        if progress != before:
            moved, before = time.monotonic(), progress
            patience = STALLED_SECONDS
        elif time.monotonic() - moved > patience:
            publish_rows(context, registration)
            moved, patience = time.monotonic(), 2 * patience  # it may be the workers that are away: the topic must not grow for ever
        if sequence.read_result(context.store, domain, registration.import_seq) is not None:
            raise ImportEndedError(f"Import {registration.import_seq} of domain {domain} was ended by another run.")
        sequence.take_lease(context.store, domain, registration.import_seq, registration.run_id)
        time.sleep(LOOK_SECONDS)


def await_silence(context: ImportContext, registration: Registration) -> None:
    """Wait until partitions have nothing to tell each other about an import that takes no more row batches: every claim is answered, every
    forwarded row counted. Before that its floor must not be raised."""
    domain, partitions = registration.domain, registration.needed_plan.partitions
    before: counts.Progress | None = None
    while True:
        progress = counts.durable_progress(context.store, domain, partitions, registration.import_seq)
        if progress.in_flight.over and progress == before:
            return
        waiting = progress.in_flight
        context.report(Progress("settling", waiting.settled + waiting.arrived, waiting.claimed + waiting.forwarded))
        if progress == before:
            time.sleep(LOOK_SECONDS)
        before = progress


def _all_applied(fences: tuple[int, ...], batches: list[int]) -> bool:
    return all(fence + 1 == count for fence, count in zip(fences, batches, strict=True))


def _waiting(fences: tuple[int, ...], batches: list[int]) -> str:
    """How many partitions have applied all their batches."""
    done = sum(fence + 1 == count for fence, count in zip(fences, batches, strict=True))
    return f"{done} of {len(batches)} partitions done"
