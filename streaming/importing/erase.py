"""Erasure of one profile: a number of its own in the domain's sequence, which finds nothing in flight (SPEC P2; DESIGN §2, Erasure).

The registration holds an address and no value: it stays for ever, the person's data do not.
"""

from __future__ import annotations

from headrace.address import partition_of
from profile_store import registry
from profile_store.registration import Registration
from streaming.envelope import ERASE, Header, encode_body
from streaming.importing.announce import refuse_lost_imports
from streaming.importing.context import ImportContext
from streaming.importing.register import again_where_the_schema_moves, numbered
from streaming.merge.erase import erasure_plan
from streaming.neighbours import Telling, encode_telling, erasure
from streaming.publisher import Publisher
from streaming.split.splitter import SplitTotals


@again_where_the_schema_moves
def register_erasure(context: ImportContext, domain: str, address: bytes, suppress: bool) -> Registration:  # noqa: FBT001 - what was asked for
    """`address`: any address of the profile; with `suppress`, a later file can't bring any of its identifiers back. `finish` sees it through.

    Asked for twice while it waits, it keeps its number. Raises TransientError.
    """
    refuse_lost_imports(context, domain)
    stored = registry.get_domain(context.store, domain)
    version, plan = stored.schema.version, erasure_plan(domain, stored.partitions, stored.address_key, stored.schema)
    return numbered(
        context,
        Registration(domain, 0, "erase", "", "", "", None, plan, schema_version=version, erased=address.hex(), suppress=suppress),
    )


def publish_order(context: ImportContext, registration: Registration) -> SplitTotals:
    """Publish the one message of an erasure. Harmless to repeat: the fence skips what is done."""
    plan, address = registration.needed_plan, bytes.fromhex(registration.erased)
    partition = partition_of(address, plan.partitions)
    header = Header(registration.domain, registration.import_seq, partition, 0, registration.token, ERASE, partition)
    publisher = Publisher(context.kafka, registration.domain)
    try:
        publisher.publish(
            partition, encode_body(header, encode_telling(Telling(erasures=erasure(address, address, int(registration.suppress)))))
        )
        publisher.flush()
    finally:
        publisher.close()
    return SplitTotals(rows=1, batches=[int(number == partition) for number in range(plan.partitions)])
