"""Wait for the imports of the domain that come first, and finish those whose run died."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from profile_store import sequence
from streaming.importing import await_turn as waiting
from streaming.importing.context import Progress, Report
from streaming.importing.drive import leased
from tasks.opened import ImportNumber, opened, registration_of
from tasks.step import step


@step
def await_turn(number: ImportNumber, run_id: str, report: Report) -> bool:
    """Whether this run is to drive the import now: False where another one has finished it meanwhile."""
    with opened(report) as context:
        registration = registration_of(context, number)
        while waiting.await_turn(context, registration, run_id):
            if sequence.take_lease(context.store, number.domain, number.import_seq, run_id):
                return True
            report(Progress("waiting", 0, 0, "another run imports this file"))
            time.sleep(waiting.LOOK_SECONDS)
        return False


@contextmanager
def driving(number: ImportNumber, run_id: str) -> Iterator[None]:
    """Keeps the import's lease while the block runs, so that no other run takes the import up.

    Should it be lost, the block goes on: a lease saves work, two runs that drive one import do no harm.
    """
    with opened() as context, leased(context, registration_of(context, number), run_id):
        yield
