"""How an import ended that another run finished."""

from __future__ import annotations

from dataclasses import dataclass, fields

from headrace.errors import TransientError
from headrace.outcomes import Outcomes
from profile_store import sequence
from tasks.opened import ImportNumber, opened
from tasks.step import step


@dataclass(frozen=True)
class FinishedImport:
    complete: bool
    outcomes: Outcomes
    rejects_key: str | None
    reason: str


@step
def read_result(number: ImportNumber) -> FinishedImport:
    with opened() as context:
        found = sequence.read_result(context.store, number.domain, number.import_seq)
    if found is None:
        raise TransientError(f"The result of import {number.import_seq} of domain {number.domain} is not there yet.", code="NO_RESULT")
    outcomes = Outcomes(**{one.name: found[one.name] for one in fields(Outcomes)})
    return FinishedImport(found["state"] == "COMPLETE", outcomes, found["rejects_key"], found["reason"])
