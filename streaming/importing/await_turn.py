"""Wait until all imports of the domain with a smaller number are over; finish those that nobody drives any more (DESIGN §2)."""

from __future__ import annotations

import time

from headrace.errors import TransientError
from profile_store import sequence
from profile_store.registration import Registration
from streaming.importing.close import ImportResult, result_of, resume_end
from streaming.importing.context import ImportContext, Progress
from streaming.importing.drive import drive, leased
from streaming.importing.schema_change import drive_schema_change
from streaming.importing.segment_change import drive_segment_change

LOOK_SECONDS = 0.2


def await_turn(context: ImportContext, registration: Registration, owner: str) -> bool:
    """Whether the import is still to be driven: False where somebody else has finished it meanwhile."""
    domain, mine = registration.domain, registration.import_seq
    while True:
        floor = sequence.domain_floor(context.store, domain)
        if floor >= mine:
            return False
        if floor + 1 == mine:
            return registration.is_definition or resume_end(context, registration) is None
        context.report(Progress("waiting", floor, mine - 1, f"import {floor + 1} of domain {domain} comes first"))
        if not take_up(context, domain, floor + 1, owner):
            time.sleep(LOOK_SECONDS)


def finish(context: ImportContext, registration: Registration, owner: str) -> ImportResult:
    """See an import through to its end, whoever does the work. Raises TransientError: it stays open."""
    while await_turn(context, registration, owner):
        with leased(context, registration, owner) as ours:
            if ours:
                return drive(context, registration)
        context.report(Progress("waiting", 0, 0, "another run imports this file"))
        time.sleep(LOOK_SECONDS)
    result = result_of(context, registration)
    if result is None:
        raise TransientError(
            f"Import {registration.import_seq} of domain {registration.domain} is over without a result.", code="NO_RESULT"
        )
    return result


def take_up(context: ImportContext, domain: str, import_seq: int, owner: str) -> bool:
    """Finish another run's import, if nobody drives it: whether we did."""
    abandoned = sequence.load_needed(context.store, domain, import_seq)
    with leased(context, abandoned, owner) as ours:
        if not ours:
            return False
        if abandoned.kind == "schema":
            drive_schema_change(context, abandoned)
        elif abandoned.kind == "segments":
            drive_segment_change(context, abandoned)
        else:
            drive(context, abandoned)
        return True
