"""Upload jobs as Prefect flows (SPEC U6, U7): one that was started, and those that lost their run. Orchestration only.

How a run ends: Completed, when the job has its result, whatever was rejected; Failed, when the job failed, or something has to be put right before it can
go on. A job that is still in progress then is taken up by the next `look-after-upload-jobs`.
"""

from __future__ import annotations

from collections.abc import Iterable

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from headrace.errors import HeadraceError
from tasks.progress_bar import FilePart, ProgressBar
from tasks.uploads import EndedJob, abandoned_jobs
from tasks.uploads import run_upload_job as run_job


@flow(name="run-upload-job", persist_result=False)
def run_upload_job(domain: str, job_id: str) -> State[None]:
    """Imports what was uploaded for a job that was started.

    Args:
        domain: Name of the job's domain.
        job_id: Its id, 32 hex characters.
    """
    return _ran([(domain, job_id)])


@flow(name="look-after-upload-jobs", persist_result=False)
def look_after_upload_jobs() -> State[None]:
    """Takes up jobs whose run died, and removes uploads of jobs that were never started. Nothing to do is the usual case."""
    try:
        jobs = abandoned_jobs()
    except HeadraceError as error:
        return Failed(message=str(error))
    return _ran(jobs) if jobs else Completed(message="Every job is looked after.")


def _ran(jobs: Iterable[tuple[str, str]]) -> State[None]:
    said, failed = [], False
    for domain, job_id in jobs:
        bar = ProgressBar.create(f"upload-{job_id}")
        try:
            ended = run_job(domain, job_id, str(flow_run.id), bar.of_file(FilePart(job_id, "", 0.0, 100.0, 0)))
        except HeadraceError as error:
            said.append(f"Job {job_id} of {domain}: {error}")
            failed = True
            continue
        said.append(_headline(ended))
        failed |= ended.status == "FAILED"
        bar.draw_now(100.0, said[-1])
    return Failed(message=" ".join(said)) if failed else Completed(message=" ".join(said))


def _headline(job: EndedJob) -> str:
    counts = ", ".join(f"{number:,} {name.removesuffix('Records').lower()}" for name, number in job.results.items())
    return " ".join(filter(None, (f"Job {job.job_id} of {job.domain}: {job.status}.", f"{counts}." if counts else "", job.reason)))
