"""End an import: its result on record, its turn given to the next."""

from __future__ import annotations

from headrace.errors import TerminalError
from headrace.outcomes import Outcomes
from streaming.importing import close
from streaming.importing.close import COMPLETE, ImportResult
from tasks.opened import ImportNumber, opened, registration_of
from tasks.step import step


@step
def close_import(number: ImportNumber, outcomes: Outcomes, rejects_key: str | None) -> None:
    """Of an import whose outcomes add up."""
    with opened() as context:
        close.close_import(context, ImportResult(registration_of(context, number), COMPLETE, outcomes, rejects_key))


@step
def fail_import(number: ImportNumber, error: TerminalError) -> Outcomes:
    """Of one that can't be finished: what it had applied until now, and will keep. Raises the error where the domain must stop for it."""
    with opened() as context:
        return close.fail(context, registration_of(context, number), error).outcomes
