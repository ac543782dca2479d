"""What was uploaded for a job, decrypted (SPEC U5, docs/adr/0022)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.errors import TerminalError
from headrace.master_key import derived_key
from headrace.sealing import unseal
from object_store.versions import ObjectVersion
from profile_store import upload_jobs
from streaming.importing.context import ImportContext

if TYPE_CHECKING:
    import io

KEYS_PURPOSE = "upload keys"
NO_CONNECTION = ""
"""Of imports that no connection asked for: their objects are in the S3 of the settings."""


def open_upload(context: ImportContext, domain: str, job_id: str, version: ObjectVersion) -> io.RawIOBase:
    """Raises TerminalError UPLOAD_GONE: the job is over, and its key with it; NO_MASTER_KEY, OTHER_MASTER_KEY."""
    job = upload_jobs.find(context.store, domain, job_id)
    if job is None or not job.sealed_key:
        raise TerminalError(
            f"What was uploaded for job {job_id} of domain {domain} can't be read any more: its key is gone.",
            code="UPLOAD_GONE",
            hint="Make a new job, and upload the file again.",
        )
    key = unseal(derived_key(context.master_key, KEYS_PURPOSE), job.sealed_key, version.key)
    return context.objects_of(NO_CONNECTION).open_encrypted(version, key)
