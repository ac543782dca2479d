"""Expiry of a domain's profiles: a number of its own in the sequence, which finds nothing in flight, as an erasure's (SPEC U11; DESIGN §2).

Each partition is looked through by ranges of profile numbers. While the expiry has its turn nobody makes a profile, so the ranges are the same whenever
they are published.
"""

from __future__ import annotations

from dataclasses import replace

from headrace.errors import TransientError
from headrace.failpoints import step
from profile_store import partitions, registry, sequence
from profile_store.registration import Registration
from profile_store.sequence import SchemaMovedError
from streaming.envelope import EXPIRE, Header, encode_body
from streaming.importing.announce import refuse_lost_imports
from streaming.importing.context import ImportContext
from streaming.importing.register import identity_of_registration
from streaming.merge.erase import erasure_plan
from streaming.neighbours import NumberRange, encode_range
from streaming.publisher import Publisher
from streaming.split.splitter import SplitTotals

NUMBERS = 10_000
"""Profiles that one commit looks at."""
_ATTEMPTS = 5


def register_expiry(context: ImportContext, domain: str, before: int) -> Registration:
    """Of all profiles that were to be kept until `before` (epoch seconds) at most. `finish` sees it through. Raises TransientError."""
    refuse_lost_imports(context, domain)
    for _ in range(_ATTEMPTS):
        stored = registry.get_domain(context.store, domain)
        plan = erasure_plan(domain, stored.partitions, stored.address_key, stored.schema)
        asked = Registration(domain, 0, "expire", "", "", "", None, plan, schema_version=stored.schema.version, expired_before=before)
        try:
            with step("register_expiry"):
                import_seq, fresh = sequence.register(context.store, asked, identity_of_registration(asked))
        except SchemaMovedError:
            continue
        return replace(asked, import_seq=import_seq) if fresh else sequence.load_needed(context.store, domain, import_seq)
    raise TransientError(f"The schema of domain {domain} keeps changing while an expiry is registered.", code="SCHEMA_MOVED")


def publish_ranges(context: ImportContext, registration: Registration) -> SplitTotals:
    """Publish the messages of an expiry; every profile number is a row. Harmless to repeat: the fences skip what is done."""
    domain, import_seq = registration.domain, registration.import_seq
    counts = partitions.profile_counts(context.store, domain, registration.needed_plan.partitions)
    totals = SplitTotals(batches=[0] * len(counts))
    publisher = Publisher(context.kafka, domain)
    try:
        for partition, profiles in enumerate(counts):
            for number, first in enumerate(range(0, profiles, NUMBERS)):
                header = Header(domain, import_seq, partition, number, registration.token, EXPIRE, partition)
                some = NumberRange(first, min(first + NUMBERS, profiles), registration.expired_before)
                publisher.publish(partition, encode_body(header, encode_range(some)))
                totals.batches[partition] += 1
            totals.rows += profiles
        publisher.flush()
    finally:
        publisher.close()
    return totals
