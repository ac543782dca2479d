"""An import that has its turn, from its registration to its end: what the flow does, and what finishes an abandoned one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from headrace.errors import HeadraceError, TerminalError
from profile_store import sequence
from profile_store.registration import Registration
from profile_store.sequence import LEASE_SECONDS
from streaming.importing.await_outcomes import await_outcomes
from streaming.importing.close import COMPLETE, ImportResult, close_import, fail, resume_end
from streaming.importing.context import ImportContext, ImportEndedError
from streaming.importing.erase_rejects import erase_from_rejects
from streaming.importing.heed_stop import heeding_stop
from streaming.importing.publish import publish_rows
from streaming.importing.write_rejects import write_rejects


def drive(context: ImportContext, registration: Registration) -> ImportResult:
    """Finish an import whose turn it is. One that can't be finished is closed FAILED, with what it applied on record.

    Raises TransientError: an outage; the import stays open and may be driven again.
    """
    ended = resume_end(context, registration)
    if ended is not None:
        return ended
    context = heeding_stop(context, registration)
    try:
        left = erase_from_rejects(context, registration) if registration.kind == "erase" else ""
        totals = publish_rows(context, registration)
        outcomes = await_outcomes(context, registration, totals)
        rejects = write_rejects(context, registration, outcomes.rejected + outcomes.cells)
    except TerminalError as error:
        return fail(context, registration, error)
    except ImportEndedError:
        return drive(context, registration)
    return close_import(context, ImportResult(registration, COMPLETE, outcomes, rejects.key, left or rejects.problem))


@contextmanager
def leased(context: ImportContext, registration: Registration, owner: str) -> Iterator[bool]:
    """Hold the import's lease while the block runs, if nobody else has it: gives whether we do."""
    domain, import_seq = registration.domain, registration.import_seq
    if not sequence.take_lease(context.store, domain, import_seq, owner):
        yield False
        return
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(LEASE_SECONDS / 3):
            with suppress(HeadraceError):  # the lease saves work, it guards nothing; the work itself reports the outage
                sequence.take_lease(context.store, domain, import_seq, owner)

    thread = threading.Thread(target=renew, name=f"lease-{import_seq}", daemon=True)
    thread.start()
    try:
        yield True
    finally:
        ended.set()
        thread.join()
        with suppress(HeadraceError):
            sequence.drop_lease(context.store, domain, import_seq)
