"""An upload job, from its start to its end: looked through, imported by the machinery of every import, counted (SPEC U6–U10, docs/adr/0022).

Every step may be repeated, by whoever finds the job in progress: the job's import has one number, and the first end counts.
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

from headrace.errors import ConfigurationError, HeadraceError, TerminalError, TransientError
from headrace.failpoints import step
from headrace.outcomes import Outcomes
from headrace.settings import UploadSettings
from headrace.upload_jobs import StatusReason, results_of, status_of
from object_store.held import HeldVersion
from object_store.store import ObjectStore
from profile_store import audit, runs, sequence, upload_jobs
from profile_store.registration import Registration
from profile_store.runs import RunFile, RunRecord
from profile_store.upload_jobs import UploadJob
from streaming.importing.await_turn import finish
from streaming.importing.check_upload import InvalidUploadError
from streaming.importing.close import COMPLETE, ImportResult
from streaming.importing.context import ImportContext
from streaming.importing.heed_stop import JobStoppedError
from streaming.importing.open_upload import NO_CONNECTION
from streaming.importing.register_upload import GOAL, needed_source, register_upload
from streaming.importing.reject_lines import OWN_COLUMNS

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _End:
    """How a job ends. `import_seq` 0: it was never registered."""

    outcomes: Outcomes
    reason: StatusReason = ""
    why: str = ""
    import_seq: int = 0
    rejects_key: str | None = None
    stopped: bool = False


def run_upload(context: ImportContext, settings: UploadSettings, domain: str, job_id: str, run_id: str) -> UploadJob:
    """The job as it ended; of one that is over already what was uploaded is deleted, one that has not started is left as it is.

    Raises TransientError: it goes on when this is called again.

    Raises TerminalError NO_SUCH_JOB, and what leaves an import open: somebody has to put something right.
    """
    job = _job(context, domain, job_id)
    if job.is_over:
        settle_upload(context, settings, job)
    if job.status != "IN_PROGRESS":
        return job
    _record(context, job, run_id, None)
    if job.import_seq:  # rows of it may be applied: what can't be read leaves it open
        return _finish(context, settings, job, run_id, sequence.load_needed(context.store, domain, job.import_seq))
    try:
        registration = register_upload(context, settings, job, run_id)
    except JobStoppedError as stopped:
        return _end(context, settings, job, run_id, _End(Outcomes(), why=stopped.message, stopped=True))
    except (InvalidUploadError, ConfigurationError) as error:
        key = _write_problem(context, job, error)
        return _end(context, settings, job, run_id, _End(Outcomes(), "VALIDATION_FAILURE", str(error), rejects_key=key))
    except TerminalError as error:
        if error.code == "REDIS_DENIED":
            raise
        return _end(context, settings, job, run_id, _End(Outcomes(), "INTERNAL_FAILURE", str(error)))
    except HeadraceError:
        raise  # an outage, or something that a person has to put right: the job goes on behind it
    except Exception as bug:
        # Nothing of the file is applied. A job that is tried again and again would never be over.
        _end(
            context,
            settings,
            job,
            run_id,
            _End(Outcomes(), "INTERNAL_FAILURE", f"Headrace is wrong ({type(bug).__name__}): its log says more."),
        )
        raise
    return _finish(context, settings, job, run_id, registration)


def _finish(context: ImportContext, settings: UploadSettings, job: UploadJob, run_id: str, registration: Registration) -> UploadJob:
    return _end(context, settings, job, run_id, _end_of(finish(context, registration, run_id)))


def _job(context: ImportContext, domain: str, job_id: str) -> UploadJob:
    found = upload_jobs.find(context.store, domain, job_id)
    if found is None:
        raise TerminalError(
            f"Domain {domain} has no upload job {job_id}.", code="NO_SUCH_JOB", hint="ListUploadJobs names those there are."
        )
    return found


def _end_of(result: ImportResult) -> _End:
    outcomes, number = result.outcomes, result.registration.import_seq
    if result.state == COMPLETE:
        reason: StatusReason = "VALIDATION_FAILURE" if status_of(outcomes) == "FAILED" else ""
        return _End(outcomes, reason, result.reason, number, result.rejects_key)
    stopped = result.reason.startswith(f"{JobStoppedError.code}:")
    return _End(outcomes, "" if stopped else "INTERNAL_FAILURE", result.reason, number, result.rejects_key, stopped)


def _end(context: ImportContext, settings: UploadSettings, job: UploadJob, run_id: str, how: _End) -> UploadJob:
    status = "STOPPED" if how.stopped else "FAILED" if how.reason else status_of(how.outcomes)
    # First the record: nobody makes it for a job that is over.
    _record(context, job, run_id, how)
    if upload_jobs.end(context.store, job, status, results_of(how.outcomes), (how.reason, how.why)).done:
        audit.note(
            context.store,
            "end upload job",
            f"domain {job.domain}",
            f"run:{run_id}",
            job=job.id,
            status=status,
            import_seq=how.import_seq,
            **how.outcomes.as_dict(),
        )
    settle_upload(context, settings, job)
    return _job(context, job.domain, job.id)


def settle_upload(context: ImportContext, settings: UploadSettings, job: UploadJob) -> None:
    """Deletes what was uploaded for a job that is over; then nobody has to look after it any more. Harmless to repeat.

    What a process that died left there goes as well: uploads that nobody noted, or that another replaced. While S3 does not answer the job is looked after.
    What may not be deleted stays, and is worth nothing: its key is gone.
    """
    places = {(settings.bucket, settings.directory_of(job.domain, job.id))}
    if job.source is not None:  # somewhere else, where the settings were changed
        places.add((job.source.bucket, f"{PurePosixPath(job.source.key).parent}/"))

    def remove(objects: ObjectStore) -> None:
        for bucket, directory in places:
            objects.remove_files(bucket, directory)

    _settle(context, job, remove)


def remove_unstarted(context: ImportContext, settings: UploadSettings, job: UploadJob) -> None:
    """What was uploaded for a job that has not started, noted or not: it needs another file. Harmless to repeat."""
    directory, held = settings.directory_of(job.domain, job.id), list[HeldVersion]()
    try:
        held = context.objects_of(NO_CONNECTION).held(settings.bucket, directory)
    except TransientError as error:
        _log.warning("what was uploaded for job %s is deleted later: %s", job.id, error)
        return
    except HeadraceError as error:
        _log.warning("what was uploaded for job %s can't be listed: %s", job.id, error)
    # Behind that look: of a file that comes at this moment nothing is removed.
    if upload_jobs.forget_upload(context.store, job.domain, job.id).done:
        _settle(context, job, lambda objects: objects.remove_held(settings.bucket, directory, held))


def _settle(context: ImportContext, job: UploadJob, remove: Callable[[ObjectStore], None]) -> None:
    try:
        with step("remove_upload"):
            remove(context.objects_of(NO_CONNECTION))
    except TransientError as error:
        _log.warning("what was uploaded for job %s is deleted later: %s", job.id, error)
        return
    except HeadraceError as error:
        _log.warning("what was uploaded for job %s stays, unreadable: %s", job.id, error)
    upload_jobs.settle(context.store, job.domain, job.id)


def _record(context: ImportContext, job: UploadJob, run_id: str, how: _End | None) -> None:
    """In the history of runs (SPEC R1), under the job's own name; `how` None: it goes on."""
    record = RunRecord(run_id, f"upload-{job.id}", GOAL, started=runs.now())
    if how is not None:
        source = needed_source(job)
        failed = bool(how.reason) or how.stopped
        file = RunFile(source.bucket, source.key, how.import_seq, "FAILED" if failed else "COMPLETE", how.outcomes.rows, goal=GOAL)
        file.outcomes, file.rejects_key, file.reason, file.domain = how.outcomes.as_dict(), how.rejects_key, how.why, job.domain
        before = runs.read_run(context.store, run_id)
        record.started = record.started if before is None else before.started
        record.state, record.ended, record.reason, record.files = "FAILED" if failed else "COMPLETE", runs.now(), how.why, [file]
    runs.write_run(context.store, record)


def _write_problem(context: ImportContext, job: UploadJob, error: InvalidUploadError | ConfigurationError) -> str | None:
    """What is wrong with the file as a whole, as a file of rejects with one line (SPEC U8); None where it can't be written: it is on record, too."""
    source = needed_source(job)
    place = PurePosixPath(source.key)
    key = str(place.parent / "_headrace" / "rejects" / GOAL / f"{place.stem}.csv")
    column = error.column if isinstance(error, InvalidUploadError) else ""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([OWN_COLUMNS, ["", "1", "0", column, error.code, error.message, ""]])
    with suppress(TerminalError), context.objects_of(NO_CONNECTION).open_write(source.bucket, key) as out:
        out.write(text.getvalue().encode())
        return key
    return None
