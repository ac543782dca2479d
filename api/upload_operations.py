"""Upload jobs over HTTP (SPEC U1–U7). The file itself comes by `api.upload_put`; what it becomes is a flow's work."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import Any

from api.call import Call, Handler
from api.errors import ApiError, bad_request, not_found
from api.paging import USUAL_PAGE, scope_of
from headrace.errors import HeadraceError, TransientError
from headrace.master_key import derived_key
from headrace.outcomes import Outcomes
from headrace.upload_jobs import definition_from_api, results_of
from headrace.upload_plan import held_values, needed_domain
from headrace.upload_urls import upload_path
from profile_store import registry, upload_jobs
from profile_store.held_values import holds_values
from profile_store.upload_jobs import UploadJob

log = logging.getLogger("headrace.api")

DEPLOYMENT = "run-upload-job/any-job"
URLS_PURPOSE = "upload urls"


def create_upload_job(call: Call) -> dict[str, Any]:
    store = call.services.store
    domain = registry.get_domain(store, call.input["DomainName"])
    definition = definition_from_api(call.input)
    needed = needed_domain(definition, domain.definition, domain.schema, may_redefine=domain.owner == "api")
    if any(holds_values(store, domain, one) for one in needed.reshaped):
        raise held_values(definition, domain.name)
    return {"JobId": upload_jobs.create(store, domain.name, definition).id}


def get_upload_job_path(call: Call) -> dict[str, Any]:
    """A fresh key each time; those before hold until their time is over."""
    job = _job(call)
    if job.status != "CREATED":
        raise bad_request(f"Upload job {job.id} is {job.status}: it takes no file any more. Make a new job.")
    key = derived_key(call.services.settings.api.master_key, URLS_PURPOSE)
    path = upload_path(key, call.base_url, job.domain, job.id, time.time())
    return {"Url": path.url, "ClientToken": path.client_token, "ValidUntil": datetime.fromtimestamp(path.valid_until, UTC)}


def start_upload_job(call: Call) -> dict[str, Any]:
    """Started again while it goes on, it stays one import. Where no run of it can be started now, it is started all the same: the flow that looks after
    jobs takes it up."""
    job = _job(call)
    changed = upload_jobs.start(call.services.store, job.domain, job.id)
    if not changed.done and changed.status == "CREATED":
        raise bad_request(
            f"Nothing was uploaded for job {job.id} yet. Put the file to the URL that GetUploadJobPath gives, then start the job."
        )
    if changed.status is None:
        raise _no_job(job.domain, job.id)
    if not changed.done and changed.status != "IN_PROGRESS":
        raise bad_request(f"Upload job {job.id} is {changed.status}: it can't be started again. Make a new job.")
    try:
        call.services.launcher.start(DEPLOYMENT, {"domain": job.domain, "job_id": job.id}, f"upload-{job.id}")
    except TransientError as error:
        log.warning("job %s of domain %s is taken up some minutes later: %s", job.id, job.domain, error)
    return {}


def get_upload_job(call: Call) -> dict[str, Any]:
    job = _job(call)
    return {
        **_item(job),
        "Fields": job.definition.fields_for_api(),
        "UniqueKey": job.definition.unique_key,
        "ResultsSummary": dict(job.results) if job.is_over else None,
    }


def list_upload_jobs(call: Call) -> dict[str, Any]:
    """The latest first."""
    services, domain = call.services, registry.get_domain(call.services.store, call.input["DomainName"]).name
    scope, token = scope_of(call), call.input.get("NextToken")
    after = "" if token is None else services.tokens.read(scope, token)
    jobs, place = upload_jobs.page(services.store, domain, call.input.get("MaxResults", USUAL_PAGE), after)
    return {"Items": [_item(job) for job in jobs], "NextToken": services.tokens.sign(scope, place) if place else None}


def stop_upload_job(call: Call) -> dict[str, Any]:
    """One that goes on is stopped by its run: what is applied by then stays and is counted. One that was not started is stopped at once."""
    store, job = call.services.store, _job(call)
    if job.status == "CREATED":
        stopped = upload_jobs.end(store, job, "STOPPED", results_of(Outcomes()))
        if stopped.done:
            _remove_or_leave(call, job)
            return {}
    asked = upload_jobs.ask_stop(store, job.domain, job.id)
    if asked.status is None:
        raise _no_job(job.domain, job.id)
    if not asked.done and asked.status != "STOPPED":
        raise bad_request(f"Upload job {job.id} is {asked.status}: there is nothing to stop any more.")
    return {}


def remove_uploads(call: Call, job: UploadJob) -> None:
    """Of a job that is over, by whoever does it: a run, or nobody else. Raises HeadraceError where S3 does not do it; then it is looked after."""
    settings = call.services.settings.uploads
    call.services.objects.remove_files(settings.bucket, settings.directory_of(job.domain, job.id))
    upload_jobs.settle(call.services.store, job.domain, job.id)


def _remove_or_leave(call: Call, job: UploadJob) -> None:
    """Of a job that is over without a run. Where S3 does not answer, the flow that looks after jobs does it."""
    try:
        remove_uploads(call, job)
    except HeadraceError as error:
        log.warning("what was uploaded for job %s is deleted later: %s", job.id, error)


def _job(call: Call) -> UploadJob:
    domain, job_id = registry.get_domain(call.services.store, call.input["DomainName"]).name, call.input["JobId"]
    found = upload_jobs.find(call.services.store, domain, job_id)
    if found is None:
        raise _no_job(domain, job_id)
    return found


def _no_job(domain: str, job_id: str) -> ApiError:
    return not_found(f"Domain {domain} has no upload job {job_id}.")


def _item(job: UploadJob) -> dict[str, Any]:
    return {
        "JobId": job.id,
        "DisplayName": job.definition.display_name,
        "Status": job.status,
        "StatusReason": job.status_reason or None,
        "CreatedAt": datetime.fromtimestamp(job.created, UTC),
        "CompletedAt": datetime.fromtimestamp(job.completed, UTC) if job.completed else None,
        "DataExpiry": job.definition.expiry_days,
    }


HANDLERS: dict[str, Handler] = {
    "CreateUploadJob": create_upload_job,
    "GetUploadJobPath": get_upload_job_path,
    "StartUploadJob": start_upload_job,
    "GetUploadJob": get_upload_job,
    "ListUploadJobs": list_upload_jobs,
    "StopUploadJob": stop_upload_job,
}
