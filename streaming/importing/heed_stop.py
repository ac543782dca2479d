"""A job that somebody wants stopped: whoever drives its import learns of it while it publishes, or waits for outcomes (SPEC U7).

What was applied by then stays, and is counted; the import is closed as one that can't be finished. Nothing is taken back.
"""

from __future__ import annotations

import time
from dataclasses import replace

from headrace.errors import TerminalError
from profile_store import upload_jobs
from profile_store.registration import Registration
from streaming.importing.context import ImportContext, Progress

LOOK_SECONDS = 1.0
_PHASES = ("publishing", "merging")
"""Before, it has not its turn, and behind them every row is applied."""


class JobStoppedError(TerminalError):
    code = "STOPPED"


def heeding_stop(context: ImportContext, registration: Registration) -> ImportContext:
    """The context in which to drive an import: of an upload job its `report` raises JobStoppedError."""
    if not registration.upload:
        return context
    looked = 0.0

    def report(progress: Progress) -> None:
        nonlocal looked
        context.report(progress)
        if progress.phase in _PHASES and time.monotonic() - looked >= LOOK_SECONDS:
            refuse_stopped(context, registration.domain, registration.upload)
            looked = time.monotonic()

    return replace(context, report=report)


def refuse_stopped(context: ImportContext, domain: str, job_id: str) -> None:
    """Raises JobStoppedError."""
    job = upload_jobs.find(context.store, domain, job_id)
    if job is not None and job.stop:
        raise JobStoppedError(f"Upload job {job_id} of domain {domain} was stopped.", hint="What it had applied by then stays.")
