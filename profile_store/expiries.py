"""Whether a domain may have profiles that are not to be kept any more (SPEC U11).

Only upload jobs set an end, and a profile's end is that of one of its jobs: so between two of these moments there is nothing to look for.
"""

from __future__ import annotations

from headrace.failpoints import step
from profile_store import keys, sequence
from profile_store.durability import read_durable, write_lost
from profile_store.store import Store, text, translated
from profile_store.upload_jobs import every_job

DAY_SECONDS = 24 * 60 * 60


def expiry_due(store: Store, domain: str, now: int) -> bool:
    """Whether any job's profiles were to be kept until a moment that has passed since the last look, or an expiry was begun and is not over."""
    with translated("reading a domain's expiry"):
        looked = int(store.client.get(keys.expired(domain)) or 0)
    ends = (expires_at(job.started, job.definition.expiry_days) for job in every_job(store, domain) if job.import_seq)
    # Of two expiries at once the one may die and the other note that all are gone: the next run finishes the first, rather than some import to come.
    return any(looked < end <= now for end in ends) or any(one.kind == "expire" for one in sequence.open_registrations(store, domain))


def expires_at(started: float, days: int) -> int:
    """Epoch seconds: until when a job that started then keeps what it imports."""
    return int(started) + days * DAY_SECONDS


def note_expired(store: Store, domain: str, before: int) -> None:
    """All that were to be kept until `before` at most are gone. Durable before it returns."""
    key = keys.expired(domain)
    with step("note_expired"), translated("noting a domain's expiry"):
        store.client.set(key, before)
    if text(read_durable(store, keys.mark(domain), lambda node: node.get(key))) != str(before):
        raise write_lost(f"the expiry of domain {domain}")
