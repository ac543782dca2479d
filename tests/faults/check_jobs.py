"""After a schedule: every upload job is over, its counts are those of its rows, what was uploaded is gone, and nobody outlives the end that a job has set."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from headrace.merge import Addresses, Profile
from headrace.outcomes import Outcomes
from headrace.upload_jobs import results_of, status_of
from profile_store import keys, runs, sequence, upload_jobs
from profile_store.records import decode_record
from profile_store.registration import Registration
from profile_store.registry import get_domain
from profile_store.upload_jobs import UploadJob
from tests.faults.job_client import JobClient
from tests.faults.jobs import noted_lines
from tests.faults.shop_files import Row
from tests.faults.shop_jobs import ShopJob, Stop
from tests.faults.world import Stage

Ends = dict[bytes, int | None]
"""Profile → until when it is kept, in epoch seconds; None: for ever."""


def check_jobs(stage: Stage, clients: Iterable[JobClient]) -> str:
    """What became of the jobs, for a person. Raises AssertionError."""
    told = [_check_job(stage, client) for client in clients]
    for domain in stage.schedule.job_domains(stage.domain):
        _check_strangers(stage, domain, {client.job_ids[-1] for client in clients})
    held = [one.version.key for one in stage.real.objects.held(stage.domain, "_headrace/uploads/")]
    left = [key for key in held if "/_headrace/rejects/" not in key]
    assert not left, f"uploaded files of jobs that are over: {left}"
    return "; ".join(told)


def _check_job(stage: Stage, client: JobClient) -> str:
    shop_job, domain = client.job, client.domain
    job = upload_jobs.find(stage.real.store, domain, client.job_ids[-1])
    assert job is not None, f"job {shop_job.name} is lost"
    assert job.is_over, f"job {shop_job.name} is {job.status}"
    assert not job.sealed_key, f"job {shop_job.name} is over, and its key still there"
    status, outcomes = _expected_end(stage, job, shop_job)
    found = (job.status, dict(job.results))
    assert found == (status, results_of(outcomes)), (
        f"job {shop_job.name} ended as {found}, its import as {(status, outcomes)}: {job.reason}"
    )
    said = client.answer["Status"], client.answer["ResultsSummary"]
    assert said == found, f"the API says {said} of job {shop_job.name}, which is {found}"
    if job.import_seq and not stage.schedule.cluster:
        _check_record(stage, job)
    return f"job {shop_job.name}: {job.status} {dict(job.results)} of {len(shop_job.lines)}"


def _expected_end(stage: Stage, job: UploadJob, shop_job: ShopJob) -> tuple[str, Outcomes]:
    """By the import's own result, which is held against the rows elsewhere. One without an import was stopped."""
    if not job.import_seq:
        assert shop_job.stop is not Stop.NEVER, f"job {shop_job.name} was never imported: {job.status} {job.reason}"
        return "STOPPED", Outcomes()
    result: dict[str, Any] = sequence.read_result(stage.real.store, job.domain, job.import_seq) or {}
    outcomes = Outcomes(**{name: result[name] for name in Outcomes().as_dict()})
    if result["state"] == "COMPLETE":
        return status_of(outcomes), outcomes
    assert job.stop, f"job {shop_job.name} failed, and nobody stopped it: {result['reason']}"
    return "STOPPED", outcomes


def _check_record(stage: Stage, job: UploadJob) -> None:
    """A run says what came of it, and where its rejects are."""
    result: dict[str, Any] = sequence.read_result(stage.real.store, job.domain, job.import_seq) or {}
    files = [file for run in runs.list_runs(stage.real.store, f"upload-{job.id}") for file in run.files]
    assert result["rejects_key"] in [file.rejects_key for file in files], f"no run of job {job.id} names {result['rejects_key']}"


def _check_strangers(stage: Stage, domain: str, known: set[str]) -> None:
    """A job whose creation was never answered was never started; nothing else is there, and nobody has to look after any."""
    store = stage.real.store
    for job in upload_jobs.every_job(store, domain):
        assert job.id in known or (job.status, job.source) == ("CREATED", None), f"job {job.id} is {job.status}, and nobody's"
    assert not upload_jobs.open_jobs(store, domain), f"jobs of {domain} are still looked after"
    imported = [one.upload for one in _uploads(stage, domain)]
    assert len(imported) == len(set(imported)), f"a job has two imports: {imported}"


def _uploads(stage: Stage, domain: str) -> list[Registration]:
    last = sequence.last_number(stage.real.store, domain)
    known = [sequence.load_needed(stage.real.store, domain, number) for number in range(1, last + 1)]
    return [one for one in known if one.upload]


def shop_job_of(stage: Stage, registration: Registration) -> ShopJob:
    """By the name that its client gave it."""
    job = upload_jobs.find(stage.real.store, registration.domain, registration.upload)
    assert job is not None, f"import {registration.import_seq} is of a job that is not there"
    [found] = [one for one in stage.schedule.jobs if one.name == job.definition.display_name]
    return found


def applied_rows(stage: Stage, registration: Registration, state: str) -> tuple[list[tuple[int, Row]], list[int]]:
    """The rows of an upload that must have taken effect, each with its line, and the lines that were rejected since they are none. Where it was stopped,
    those of the batches that were applied; what is no row is not counted there."""
    job = shop_job_of(stage, registration)
    if state == "COMPLETE":
        return job.rows(), job.broken
    lines = set(json.loads(noted_lines(stage.directory, registration.domain, registration.import_seq).read_text()))
    return [(line, row) for line, row in job.rows() if line in lines], []


def keep(ends: Ends, imported: Iterable[bytes], expires: int | None) -> None:
    """An import of these profiles: the longest end counts, and one that sets none makes them permanent (SPEC U11)."""
    for one in imported:
        before = ends.get(one, 0)
        ends[one] = None if expires is None or before is None else max(before, expires)


def expire_from(stage: Stage, registration: Registration, domain: tuple[dict[bytes, Profile], Addresses, Ends]) -> None:
    """What an expiry does to the oracle's domain. It counts everybody who went, and everybody who stayed."""
    profiles, addresses, ends = domain
    gone = {one for one, end in ends.items() if end is not None and end <= registration.expired_before}
    result: dict[str, Any] = sequence.read_result(stage.real.store, registration.domain, registration.import_seq) or {}
    assert result.get("state") == "COMPLETE", f"expiry {registration.import_seq}: {result}"
    counted = result["updated"], result["unchanged"]
    assert counted == (len(gone), len(profiles) - len(gone)), f"expiry {registration.import_seq} counted {counted}, {len(gone)} had to go"
    for profile in gone:
        for address in addresses.bound_to(profile):
            addresses.pointers.pop(address, None)
        del profiles[profile], ends[profile]


def check_ends(stage: Stage, domain: str, ends: Mapping[bytes, int | None]) -> None:
    """Each profile is kept for as long as its sources say."""
    stored = get_domain(stage.real.store, domain)
    for partition in range(stored.partitions):
        client = stage.real.store.node_of(keys.meta(domain, partition))
        packed: Any = client.get(keys.ids(domain, partition)) or b""
        for at in range(0, len(packed), 16):
            identifier = packed[at : at + 16]
            if identifier == bytes(16):
                continue
            blob: Any = client.get(keys.address_prefix(domain, partition) + identifier)
            found = decode_record(blob, frozenset()).expires
            assert found == ends[identifier], f"profile {identifier.hex()} is kept until {found}, by its sources until {ends[identifier]}"
