"""Wait until every row of an import is counted, durably: conservation is the completion test (SPEC R4)."""

from __future__ import annotations

import time

from headrace.errors import HeadraceError, TerminalError
from headrace.outcomes import Outcomes
from profile_store import sequence
from profile_store.durability import barrier, partition_marks
from profile_store.sequence import Registration
from streaming.importing.context import ImportContext, Progress
from streaming.importing.publish import publish_rows
from streaming.split.splitter import SplitTotals


class ImportEndedError(HeadraceError):
    """Another run has ended the import meanwhile: its counts are gone, its result is on record."""

    code = "IMPORT_ENDED"


LOOK_SECONDS = 0.1
STALLED_SECONDS = 60.0
"""Without a batch applied for so long, the messages may be gone (a wiped topic): they are published again, which is harmless if they are not."""


def await_outcomes(context: ImportContext, registration: Registration, totals: SplitTotals) -> Outcomes:
    """The import's outcomes, those of the splitter included, once they add up to the rows read and are durable. Raises ImportEndedError."""
    domain, partitions = registration.domain, registration.needed_plan.partitions
    moved, before, patience = time.monotonic(), -1, STALLED_SECONDS
    while True:
        progress = sequence.progress(context.store, domain, partitions, registration.import_seq)
        outcomes = progress.outcomes + Outcomes(rejected=totals.rejected)
        context.report(Progress("merging", outcomes.rows, totals.rows, _waiting(progress.fences, totals.batches)))
        if outcomes.rows > totals.rows:
            raise TerminalError(
                f"Import {registration.import_seq} of domain {domain} counted {outcomes.rows} rows of {totals.rows}.",
                code="NOT_CONSERVED",
                hint="This is a bug of Headrace; nothing more is imported into the domain. Please report it.",
            )
        if outcomes.rows == totals.rows and all(
            fence + 1 == batches for fence, batches in zip(progress.fences, totals.batches, strict=True)
        ):
            barrier(context.store, partition_marks(domain, range(partitions)))
            if sequence.progress(context.store, domain, partitions, registration.import_seq) == progress:
                return outcomes
        if outcomes.rows != before:
            moved, before = time.monotonic(), outcomes.rows
            patience = STALLED_SECONDS
        elif time.monotonic() - moved > patience:
            publish_rows(context, registration)
            moved, patience = time.monotonic(), 2 * patience  # it may be the workers that are away: the topic must not grow for ever
        if sequence.read_result(context.store, domain, registration.import_seq) is not None:
            raise ImportEndedError(f"Import {registration.import_seq} of domain {domain} was ended by another run.")
        sequence.take_lease(context.store, domain, registration.import_seq, registration.run_id)
        time.sleep(LOOK_SECONDS)


def _waiting(fences: tuple[int, ...], batches: list[int]) -> str:
    """How many partitions have applied all their batches."""
    done = sum(fence + 1 == count for fence, count in zip(fences, batches, strict=True))
    return f"{done} of {len(batches)} partitions done"
