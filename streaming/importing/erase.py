"""Erasure of one profile: a number of its own in the domain's sequence, which finds nothing in flight (SPEC P2; DESIGN §2, Erasure).

The registration holds an address and no value: it stays for ever, the person's data do not.
"""

from __future__ import annotations

from dataclasses import replace

from headrace.address import partition_of
from headrace.errors import TransientError
from profile_store import registry, sequence
from profile_store.registration import Registration
from profile_store.sequence import SchemaMovedError
from streaming.envelope import ERASE, Header, encode_body
from streaming.importing.announce import refuse_lost_imports
from streaming.importing.context import ImportContext
from streaming.importing.register import identity_of_registration
from streaming.merge.erase import erasure_plan
from streaming.neighbours import Telling, encode_telling, erasure
from streaming.publisher import Publisher
from streaming.split.splitter import SplitTotals

_ATTEMPTS = 5


def register_erasure(context: ImportContext, domain: str, address: bytes, suppress: bool) -> Registration:  # noqa: FBT001 - what was asked for
    """`address`: any address of the profile; with `suppress`, a later file can't bring any of its identifiers back. `finish` sees it through.

    Asked for twice while it waits, it keeps its number. Raises TransientError.
    """
    refuse_lost_imports(context, domain)
    for _ in range(_ATTEMPTS):
        stored = registry.get_domain(context.store, domain)
        plan = erasure_plan(domain, stored.partitions, stored.address_key, stored.schema)
        asked = Registration(
            domain, 0, "erase", "", "", "", None, plan, schema_version=stored.schema.version, erased=address.hex(), suppress=suppress
        )
        try:
            import_seq, fresh = sequence.register(context.store, asked, identity_of_registration(asked))
        except SchemaMovedError:
            continue
        return replace(asked, import_seq=import_seq) if fresh else sequence.load_needed(context.store, domain, import_seq)
    raise TransientError(f"The schema of domain {domain} keeps changing while an erasure is registered.", code="SCHEMA_MOVED")


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
