"""Profiles that are not kept any more, a domain at a time, as steps of a flow (SPEC U11)."""

from __future__ import annotations

import time

from headrace.errors import TerminalError
from profile_store import audit, expiries, registry, sequence
from streaming.importing.await_turn import finish
from streaming.importing.close import COMPLETE
from streaming.importing.context import ImportContext
from streaming.importing.expire import register_expiry
from tasks.opened import opened
from tasks.step import step


@step
def domains_with_expired(domain: str) -> list[str]:
    """`domain`, or all where it is empty, of those that may have expired profiles. Raises TerminalError where there is no such domain."""
    with opened() as context:
        names = [registry.get_domain(context.store, domain).name] if domain else registry.domain_names(context.store)
        return [name for name in names if expiries.expiry_due(context.store, name, int(time.time()))]


@step
def expire_domain(domain: str) -> int:
    """How many profiles went. It is in the audit trail, too."""
    with opened() as context:
        return expire(context, domain, int(time.time()))


def expire(context: ImportContext, domain: str, before: int) -> int:
    """Of a domain's profiles all that were to be kept until `before` at most go, behind everything that was registered before. How many.

    Raises TransientError: it stays open, and whoever runs next in the domain finishes it; TerminalError.
    """
    registration = register_expiry(context, domain, before)
    audit.note(context.store, "expire", f"domain {domain}", import_seq=registration.import_seq, before=before)
    result = finish(context, registration, sequence.fresh_owner())
    if result.state != COMPLETE:
        raise TerminalError(f"Expiry {registration.import_seq} of domain {domain} failed: {result.reason}", code="NOT_EXPIRED")
    expiries.note_expired(context.store, domain, before)
    audit.note(context.store, "expired", f"domain {domain}", import_seq=registration.import_seq, profiles=result.outcomes.updated)
    return result.outcomes.updated
