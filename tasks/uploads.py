"""Upload jobs, as steps of a flow: one to its end, and which of them nobody looks after (SPEC U6, U7)."""

from __future__ import annotations

import time
from dataclasses import dataclass

from headrace.settings import Settings
from profile_store import registry, sequence, upload_jobs
from profile_store.store import Store
from profile_store.upload_jobs import UploadJob
from streaming.importing.context import Report
from streaming.importing.run_upload import remove_unstarted
from streaming.importing.run_upload import run_upload as run
from tasks.opened import opened
from tasks.step import step

PATIENCE_SECONDS = 120
"""So long a job that has started is left to the run that was started for it."""
UNSTARTED_SECONDS = 24 * 60 * 60
"""So long an upload is kept for a job that does not start."""


@dataclass(frozen=True)
class EndedJob:
    """`results`: `ResultsSummary`. `reason`: in words; no personal data."""

    domain: str
    job_id: str
    status: str
    results: dict[str, int]
    reason: str


@step
def run_upload_job(domain: str, job_id: str, run_id: str, report: Report) -> EndedJob:
    with opened(report) as context:
        job = run(context, Settings().uploads, domain, job_id, run_id)
    return EndedJob(domain, job_id, job.status, dict(job.results), job.reason)


@step
def abandoned_jobs() -> list[tuple[str, str]]:
    """Domain and id of each job in progress that no run is at, and of each that is over and whose file is still there; uploads that wait for a start that
    never comes are removed on the way."""
    found = []
    with opened() as context:
        for domain in registry.domain_names(context.store):
            for job in upload_jobs.open_jobs(context.store, domain):
                if _is_abandoned(context.store, job):
                    found.append((domain, job.id))
                elif job.status == "CREATED" and time.time() - job.uploaded > UNSTARTED_SECONDS:
                    remove_unstarted(context, Settings().uploads, job)
    return found


def _is_abandoned(store: Store, job: UploadJob) -> bool:
    """Two runs of one job do no harm; this saves work."""
    if job.is_over:
        return time.time() - job.completed >= PATIENCE_SECONDS
    if job.status != "IN_PROGRESS" or time.time() - job.started < PATIENCE_SECONDS:
        return False
    return not (job.import_seq and sequence.is_leased(store, job.domain, job.import_seq))
