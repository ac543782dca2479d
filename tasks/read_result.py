"""How an import ended that another run finished."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.errors import TransientError
from headrace.outcomes import Outcomes
from streaming.importing.close import COMPLETE, result_of
from tasks.opened import ImportNumber, opened, registration_of
from tasks.step import step


@dataclass(frozen=True)
class FinishedImport:
    """`reason`: why it failed; empty for a complete one."""

    complete: bool
    outcomes: Outcomes
    rejects_key: str | None
    reason: str


@step
def read_result(number: ImportNumber) -> FinishedImport:
    with opened() as context:
        found = result_of(context, registration_of(context, number))
    if found is None:
        raise TransientError(f"Import {number.import_seq} of domain {number.domain} is over without a result.", code="NO_RESULT")
    return FinishedImport(found.state == COMPLETE, found.outcomes, found.rejects_key, found.reason)
