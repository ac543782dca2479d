"""Processes of upload jobs and expiries: the product's own tasks, without Prefect around them.

`upload:<domain>:<job>` is the run of a job that the API asked for; `look:` the flow that looks after those whose runs died; `expire:<domain>:<days>` the
one that expires profiles, so many days and a minute from now.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from headrace.errors import TransientError
from profile_store import counts, expiries
from streaming.importing import close
from streaming.importing.close import FAILED, ImportResult
from streaming.importing.context import ImportContext, silent
from streaming.importing.publish import open_rows
from streaming.split.splitter import Splitter
from tasks.expiry import expire
from tasks.uploads import abandoned_jobs, run_upload_job
from tests.pipeline import Pipeline

UPLOAD, LOOK, EXPIRE = "upload:", "look:", "expire:"


def run_task(pipeline: Pipeline, task: str) -> None:
    """Raises TransientError: somebody else goes on later."""
    kind, _, about = task.partition(":")
    if kind + ":" == EXPIRE:
        _expire(pipeline.context, *about.split(":"))
        return
    jobs = abandoned_jobs.fn() if kind + ":" == LOOK else [tuple(about.split(":"))]
    outages = list[TransientError]()
    for domain, job_id in jobs:
        try:
            ended = run_upload_job.fn(domain, job_id, uuid.uuid4().hex, silent)
            print(f"{kind}: job {job_id} of {domain}: {ended.status} {ended.results} {ended.reason}", flush=True)
        except TransientError as outage:
            outages.append(outage)
    if outages:
        raise outages[0]


def _expire(context: ImportContext, domain: str, days: str) -> None:
    """As the flow does it, at that time."""
    before = int(time.time()) + int(days) * expiries.DAY_SECONDS + 60
    if expiries.expiry_due(context.store, domain, before):
        print(f"expired: {expire(context, domain, before)} of {domain}", flush=True)


def noted_lines(directory: Path, domain: str, import_seq: int) -> Path:
    """Where it is noted which lines of an upload were applied, where its job was stopped."""
    return directory / f"applied-{domain}-{import_seq}.json"


End = Callable[[ImportContext, ImportResult], None]


def noting_what_was_applied(directory: Path) -> End:
    """The end of an import, which forgets how far each partition came: of one that was stopped that is noted before."""
    end: End = vars(close)["_end"]

    def noting(context: ImportContext, result: ImportResult) -> None:
        if result.registration.upload and result.state == FAILED:
            _note_lines(context, result, noted_lines(directory, result.registration.domain, result.registration.import_seq))
        end(context, result)

    return noting


def _note_lines(context: ImportContext, result: ImportResult, place: Path) -> None:
    """The lines of all batches that were applied: in each partition the first ones. Once; what comes later finds some of it forgotten."""
    if place.exists():
        return
    registration = result.registration
    plan = registration.needed_plan
    fences = counts.progress(context.store, registration.domain, plan.partitions, registration.import_seq).fences
    with open_rows(context, registration) as stream:
        splitter = Splitter(lambda size: stream.read(size) or b"", plan, registration.needed_source.key)
        lines = [
            line
            for batch in splitter.batches()
            if batch.batch_no <= fences[batch.partition]
            for line in batch.rows.column("line").to_pylist()
        ]
    incoming = place.with_suffix(f".{os.getpid()}")
    incoming.write_text(json.dumps(sorted(lines)))
    incoming.rename(place)
