"""Upload jobs by status, for whoever watches (SPEC B9): of all domains together, whose names are nobody's business who has no key."""

from __future__ import annotations

import math
import time
from collections import Counter

from api.metrics import JOBS, OLDEST_JOB
from headrace.errors import HeadraceError
from headrace.upload_jobs import TRANSITIONS
from profile_store import registry, upload_jobs
from profile_store.store import Store


def look_at_jobs(store: Store) -> None:
    """Sets the metrics, or takes them away where Redis can't be asked."""
    counts, started = Counter[str](dict.fromkeys(TRANSITIONS, 0)), list[float]()
    try:
        for domain in registry.domain_names(store):
            found = upload_jobs.count_by_status(store, domain)
            counts.update(found)
            if found.get("IN_PROGRESS"):
                started += [job.started for job in upload_jobs.open_jobs(store, domain) if job.status == "IN_PROGRESS"]
    except HeadraceError:
        JOBS.clear()
        OLDEST_JOB.set(math.nan)
        return
    for status, count in counts.items():
        JOBS.labels(status).set(count)
    OLDEST_JOB.set(max(0.0, time.time() - min(started)) if started else 0.0)
