"""An upload job looked through and registered as an import: once, whoever does it and however often (SPEC U6)."""

from __future__ import annotations

from datetime import datetime

from headrace.settings import UploadSettings
from headrace.upload_plan import upload_plan
from object_store.versions import ObjectVersion
from profile_store import sequence, upload_jobs
from profile_store.expiries import expires_at
from profile_store.registration import Registration, Source
from profile_store.upload_jobs import UploadJob
from streaming.importing.announce import refuse_lost_imports
from streaming.importing.check_upload import check_upload
from streaming.importing.context import ImportContext
from streaming.importing.heed_stop import JobStoppedError, refuse_stopped
from streaming.importing.open_upload import NO_CONNECTION, open_upload
from streaming.importing.register import again_where_the_schema_moves, upload_work
from streaming.importing.upload_schema import make_properties
from streaming.split import SPLITTER_FORMAT

GOAL = "upload"


def register_upload(context: ImportContext, settings: UploadSettings, job: UploadJob, run_id: str) -> Registration:
    """Of a job in progress that has no import yet. Nothing of the file is applied where this raises.

    Raises InvalidUploadError, ConfigurationError: the file, or the job, is not as it must be; JobStoppedError; other TerminalErrors; TransientError.
    """
    refuse_stopped(context, job.domain, job.id)
    with open_upload(context, job.domain, job.id, version_of(needed_source(job))) as stream:
        check_upload(lambda size: stream.read(size) or b"", job.definition.sources, settings.most_records, f"upload job {job.id}")
    return _register(context, settings, job, run_id)


@again_where_the_schema_moves
def _register(context: ImportContext, settings: UploadSettings, job: UploadJob, run_id: str) -> Registration:
    refuse_lost_imports(context, job.domain)
    domain = make_properties(context, job.domain, job.definition, run_id)
    expires = expires_at(job.started, job.definition.expiry_days)
    asked = Registration(
        job.domain,
        0,
        "import",
        NO_CONNECTION,
        GOAL,
        run_id,
        needed_source(job),
        upload_plan(job.definition, (domain.definition, domain.address_key), domain.schema, settings.phone_region, expires),
        schema_version=domain.schema.version,
        splitter=SPLITTER_FORMAT,
        upload=job.id,
    )
    import_seq = upload_jobs.register_upload(context.store, asked, upload_work(job.id))
    if import_seq is None:
        raise JobStoppedError(f"Upload job {job.id} of domain {job.domain} was stopped before anything was applied.")
    return sequence.load_needed(context.store, job.domain, import_seq)


def needed_source(job: UploadJob) -> Source:
    if job.source is None:
        raise ValueError(f"upload job {job.id} of {job.domain} has no upload")
    return job.source


def version_of(source: Source) -> ObjectVersion:
    return ObjectVersion(
        source.bucket, source.key, source.version_id, source.etag, source.size, datetime.fromisoformat(source.last_modified)
    )
