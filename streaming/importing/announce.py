"""An import is made known to Kafka before its first row is published, so that nothing can have been applied which a restored store could not learn of;
and its end before the next run can take its file for imported, or for failed.

Redis first, and durably; then the imports topic; then rows. A store that knows less than that topic has lost something: no number is given in it
before `headrace recover` has put back what it lost, or the number would be given twice (SPEC R5).
"""

from __future__ import annotations

from headrace.errors import HeadraceError, TransientError
from headrace.failpoints import step
from profile_store import sequence
from profile_store.registration import Registration
from streaming.importing.context import ImportContext
from streaming.imports_topic import KnownImport, last_registration, write_imports


class StoreBehindError(HeadraceError):
    """Neither an outage nor a fault of a file: somebody has to say what is to be done."""

    code = "STORE_BEHIND"

    def __init__(self, domain: str, there: int, known: Registration) -> None:
        super().__init__(
            f"Redis has {there} imports of domain {domain}, Kafka knows of import {known.import_seq}"
            f"{'' if known.import_seq > there else ' as other work'}: Redis came back without its latest writes.",
            hint=f"`headrace recover {domain}` brings them back. If the older state is what you want, docs/operations.md says how to keep it.",
        )


def refuse_lost_imports(context: ImportContext, domain: str) -> None:
    """Before a number is given. Raises StoreBehindError, TransientError."""
    known = last_registration(context.kafka, domain)
    if known is None:
        return
    # The topic was read first: what others register meanwhile can only make the store the longer of the two.
    there = sequence.last_number(context.store, domain)
    if known.import_seq > there:
        raise StoreBehindError(domain, there, known)


def announce(context: ImportContext, registration: Registration) -> None:
    """Write the registration, and all before it that the topic lacks (it may be a new one), to the imports topic. Repeatable.

    Raises StoreBehindError, TransientError; the latter too where the store does not have the registration any more.
    """
    domain, import_seq = registration.domain, registration.import_seq
    if sequence.load_needed(context.store, domain, import_seq).token != registration.token:
        raise TransientError(f"Import {import_seq} of domain {domain} is other work in Redis than it was.", code="REGISTRATION_LOST")
    known = last_registration(context.kafka, domain)
    if known is not None and known.import_seq > import_seq:
        return
    if known is not None and known.import_seq == import_seq:
        if known.token != registration.token:
            raise StoreBehindError(domain, import_seq, known)
        return
    first = 1 if known is None else known.import_seq + 1
    with step("announce"):
        write_imports(context.kafka, (_known(context, domain, number) for number in range(first, import_seq + 1)))


def announce_end(context: ImportContext, registration: Registration, state: str) -> None:
    """`state`: COMPLETE or FAILED. As `announce` does, for an import that failed before it was known. Repeatable."""
    announce(context, registration)
    with step("announce_end"):
        write_imports(context.kafka, [KnownImport(registration, state)])


def _known(context: ImportContext, domain: str, number: int) -> KnownImport:
    """With how it ended, where that is on record: the topic was lost."""
    result = sequence.read_result(context.store, domain, number)
    state = "" if result is None else result["state"]
    return KnownImport(sequence.load_needed(context.store, domain, number), "" if state == sequence.FAILING else state)
