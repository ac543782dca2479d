"""Bring back what a domain lost with its store: an older backup was restored, or a replica that lagged took over (SPEC R5).

The imports topic knows every import that may have had an effect. What the store lacks is registered again, under the same numbers and tokens; then all that
is open is driven in order, as ever: fences skip what is there, what was lost is applied. Every step may be repeated, and a recovery that was killed is
simply run again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from headrace.errors import HeadraceError, TerminalError
from headrace.schema import decode_schema
from profile_store import recovery, registry, sequence
from profile_store.durability import barrier
from profile_store.recovery import Restored
from profile_store.registration import Registration
from profile_store.registry import StoredDomain
from streaming.importing.await_turn import LOOK_SECONDS, take_up
from streaming.importing.close import COMPLETE, ImportResult, fail_import, result_of
from streaming.importing.context import ImportContext, Progress
from streaming.importing.drive import leased
from streaming.importing.publish import open_source
from streaming.importing.register import identity_of_registration
from streaming.imports_topic import KnownImport, last_registration, read_imports
from streaming.split import SPLITTER_FORMAT
from streaming.topics import domains_with_imports_topic, make_topics

NO_ACCESS = frozenset(
    {
        *("ACCESS_DENIED", "WRONG_CREDENTIALS", "CREDENTIALS_MISSING", "CLOCK_SKEW", "TLS"),
        *(
            "NO_MASTER_KEY",
            "OTHER_MASTER_KEY",
            "ENDPOINT",
            "NO_SUCH_BUCKET",
            "WRONG_REGION",
            "INVALID_NAME",
            "S3_REFUSED",
            "NOT_SUPPORTED",
            "ARCHIVED",
        ),
    }
)
"""What somebody can put right. An import that is recovered must not be closed for it, as another would be."""


class NotRecoverableError(HeadraceError):
    """Going on would make it worse: somebody has to do something first. What was recovered so far stays."""

    code = "NOT_RECOVERABLE"


@dataclass(frozen=True, slots=True)
class RecoveredImport:
    """One number that was open. `lost`: the store did not know it. `failed_before`: it had failed and was closed so again, see `_superseded`.

    `result` None: a change of schema, which is done when it is over.
    """

    registration: Registration
    lost: bool
    failed_before: bool
    result: ImportResult | None


@dataclass(frozen=True, slots=True)
class Recovery:
    domain: str
    imports: tuple[RecoveredImport, ...]


def forgotten_domains(context: ImportContext) -> list[str]:
    """Domains that Kafka knows imports of, and the store does not know at all."""
    strangers = domains_with_imports_topic(context.kafka) - set(registry.domain_names(context.store))
    return sorted(domain for domain in strangers if last_registration(context.kafka, domain) is not None)


def recover(context: ImportContext, name: str, owner: str) -> Recovery:
    """Returns when nothing of the domain is open. Merge workers have to run.

    Raises NotRecoverableError, TransientError (run it again), and TerminalError where the domain or a partition is not there.
    """
    domain = registry.get_domain(context.store, name)
    make_topics(context.kafka, name, domain.partitions)
    known = read_imports(context.kafka, name)
    _refuse_parts_of_different_moments(context, domain)
    lost = _register_again(context, domain, known)
    there = sequence.open_registrations(context.store, name)
    _refuse_unknown_connections(context, there)
    _refuse_other_splitter(there)
    superseded = _superseded(there, known)
    for one in there:
        _see_through(context, one, owner, superseded)
    return Recovery(
        name, tuple(RecoveredImport(one, one.import_seq in lost, one.import_seq in superseded, _result(context, one)) for one in there)
    )


def _refuse_parts_of_different_moments(context: ImportContext, domain: StoredDomain) -> None:
    found = recovery.disagreements(context.store, domain.name, domain.partitions)
    if found:
        more = f", and {len(found) - 3} more" if len(found) > 3 else ""
        raise NotRecoverableError(
            f"The parts of domain {domain.name} in Redis are not of one moment: {'; '.join(found[:3])}{more}.",
            hint="Restore all nodes of the cluster from backups of one quiet moment, when no import was open; then recover again.",
        )


def _register_again(context: ImportContext, domain: StoredDomain, known: dict[int, KnownImport]) -> set[int]:
    """The numbers that the store lacked. Nothing is put back unless all can be."""
    store, name = context.store, domain.name
    last = sequence.last_number(store, name)
    lost = [one.registration for number, one in known.items() if number > last]
    for number, one in enumerate(lost, last + 1):
        if one.import_seq != number:
            raise NotRecoverableError(
                f"Import {number} of domain {name} is neither in Redis nor in Kafka, where import {one.import_seq} is.",
                hint="Restore a later backup; or keep what is there, as docs/operations.md says.",
            )
    _refuse_other_domain(domain, lost)
    for one in (each.registration for each in known.values()):
        if recovery.restore_registration(store, one, identity_of_registration(one)) in (Restored.TAKEN, Restored.GAP):
            raise NotRecoverableError(
                f"Import {one.import_seq} of domain {name} is other work in Redis than in Kafka: something was imported after the restore.",
                hint="Restore the backup again, and recover before anything else runs.",
            )
    barrier(store, sequence.domain_marks(name))
    return {one.import_seq for one in lost}


def _refuse_other_domain(domain: StoredDomain, lost: list[Registration]) -> None:
    """Where the store is older than the domain, `apply` has made that anew: it must be the same one, or values would go to other properties."""
    schemas = [domain.schema, *(decode_schema(one.schema) for one in lost if one.schema)]
    names = {one.id: one.name for one in max(schemas, key=lambda one: one.version).properties}
    for one in lost:
        plan = one.plan
        if plan is None:
            continue
        if plan.partitions != domain.partitions:
            what = f"it had {plan.partitions} partitions and has {domain.partitions}"
        elif plan.address_key != domain.address_key:
            what = "its addresses were made with another HEADRACE_ADDRESS_SECRET"
        elif any(names.get(mapping.property_id) != mapping.property for mapping in plan.mappings):
            what = "its properties stood in another order"
        else:
            continue
        raise NotRecoverableError(
            f"Domain {domain.name} is not the one that import {one.import_seq} was for: {what}.",
            hint="Remove it from Redis, apply the files as they were then, and recover again.",
        )


def _refuse_unknown_connections(context: ImportContext, there: list[Registration]) -> None:
    """They were applied after the backup. An import whose connection is not there would be closed FAILED."""
    missing = sorted(
        {one.connection for one in there if one.connection and registry.find_connection(context.store, one.connection) is None}
    )
    if missing:
        raise NotRecoverableError(
            f"Redis does not know the connections of imports that are to be recovered: {', '.join(missing)}.",
            hint="Apply their files, then recover again.",
        )


def _refuse_other_splitter(there: list[Registration]) -> None:
    """Another splitter cuts other batches under the same numbers; the import would be closed FAILED."""
    for one in there:
        if one.kind == "import" and one.splitter != SPLITTER_FORMAT:
            raise NotRecoverableError(
                f"Import {one.import_seq} of domain {one.domain} was cut by splitter {one.splitter}; this release has {SPLITTER_FORMAT}.",
                hint="Recover with the release that imported it, then upgrade.",
            )


def _superseded(there: list[Registration], known: dict[int, KnownImport]) -> set[int]:
    """Imports that had failed, and whose file then was imported again: the same file under the same configuration got another number, with no other
    import of it between. Were such a one driven again it might succeed this time, and its rows would count twice.

    One that was complete counts with the later one, as it did: its goal was removed, and defined again. Where Kafka was not told of an end (by a release
    that did not tell), it had failed: that is why people import a file again.
    """

    def known_end(one: Registration) -> str:
        return known[one.import_seq].end if one.import_seq in known else ""

    failed, latest = set[int](), dict[tuple[str, ...], Registration]()
    for one in there:
        if one.kind != "import" or one.replay is not None:  # a replay takes nothing that another has taken
            continue
        place = (one.connection, one.goal, one.needed_source.bucket, one.needed_source.key)
        before = latest.get(place)
        if before is not None and known_end(before) != COMPLETE and identity_of_registration(before) == identity_of_registration(one):
            failed.add(before.import_seq)
        latest[place] = one
    return failed


def _see_through(context: ImportContext, registration: Registration, owner: str, superseded: set[int]) -> None:
    domain, import_seq = registration.domain, registration.import_seq
    while sequence.domain_floor(context.store, domain) < import_seq:
        if import_seq in superseded:
            done = _close_as_failed(context, registration, owner)
        else:
            _refuse_source_out_of_reach(context, registration)
            done = take_up(context, domain, import_seq, owner)
        if not done:
            context.report(Progress("waiting", 0, 0, f"another run drives import {import_seq}"))
            time.sleep(LOOK_SECONDS)


def _close_as_failed(context: ImportContext, registration: Registration, owner: str) -> bool:
    with leased(context, registration, owner) as ours:
        if ours:
            fail_import(context, registration, "It had failed before the store was restored, and the file was imported again.")
        return ours


def _refuse_source_out_of_reach(context: ImportContext, registration: Registration) -> None:
    """Raises NotRecoverableError for what somebody can put right; a file that is gone, or can't be read, ends its import as ever."""
    if registration.kind != "import" or result_of(context, registration) is not None:
        return
    try:
        open_source(context, registration).close()
    except TerminalError as error:
        if error.code in NO_ACCESS:
            raise NotRecoverableError(
                f"Import {registration.import_seq} of domain {registration.domain} can't be read: {error.message}",
                hint=f"{error.hint} Then recover again.",
            ) from error


def _result(context: ImportContext, registration: Registration) -> ImportResult | None:
    return None if registration.is_definition else result_of(context, registration)
