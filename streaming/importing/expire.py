"""Expiry of a domain's profiles: a number of its own in the sequence, which finds nothing in flight, as an erasure's (SPEC U11; DESIGN §2).

Each partition is looked through by ranges of profile numbers. While the expiry has its turn nobody makes a profile, so the ranges are the same whenever
they are published.
"""

from __future__ import annotations

from headrace.failpoints import step
from profile_store import partitions, registry
from profile_store.registration import Registration
from streaming.envelope import EXPIRE, Header, encode_body
from streaming.importing.announce import refuse_lost_imports
from streaming.importing.context import ImportContext
from streaming.importing.register import again_where_the_schema_moves, numbered
from streaming.merge.erase import erasure_plan
from streaming.neighbours import NumberRange, encode_range
from streaming.publisher import Publisher
from streaming.split.splitter import SplitTotals

NUMBERS = 10_000
"""Profiles that one commit looks at."""


@again_where_the_schema_moves
def register_expiry(context: ImportContext, domain: str, before: int) -> Registration:
    """Of all profiles that were to be kept until `before` (epoch seconds) at most. `finish` sees it through. Raises TransientError."""
    refuse_lost_imports(context, domain)
    stored = registry.get_domain(context.store, domain)
    plan = erasure_plan(domain, stored.partitions, stored.address_key, stored.schema)
    with step("register_expiry"):
        return numbered(
            context,
            Registration(domain, 0, "expire", "", "", "", None, plan, schema_version=stored.schema.version, expired_before=before),
        )


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
