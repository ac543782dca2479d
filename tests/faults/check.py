"""After a schedule: everything that is there must be what the oracle makes of the files in the order in which they were numbered."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import product
from typing import Any

from headrace.import_plan import ImportPlan
from headrace.merge import Addresses, OracleResult, Profile, import_rows
from headrace.outcomes import Outcomes, Reason
from profile_store import keys, registry, sequence
from profile_store.registration import Registration
from profile_store.segment_registry import segments_of
from streaming.importing.pinned_copy import settle_pins
from streaming.importing.scan import scan_goal
from tests.faults.check_jobs import Ends, applied_rows, check_ends, expire_from, keep
from tests.faults.check_rejects import Rejected, check_rejects, rejected_of
from tests.faults.shop_files import Row
from tests.faults.world import Stage
from tests.membership import check_members
from tests.polling import eventually

KEPT = re.compile(
    rb".*:(meta|ids|fence|domain|schema|sequence|floor|mark|rejected|replayed:\d+|upload-job:\w+|upload-jobs(-by-status)?|expired|import:\d+|result:\d+|ledger:\w+/\w+|seen-profiles:\w+:(in|out)|segments|segment-generations|segment-members:\d+\.\d+)|headrace:(?!turn:|waiting:).*",
    re.DOTALL,
)
"""What may be left when every import has ended, besides profiles and pointers."""
EMPTIED_SECONDS = 15.0
"""An outbox is emptied when its receivers have what was in it on disk, as its owner finds out now and then."""


@dataclass
class _Imported:
    """Profiles that a connection has imported: those that are `there`, and the number of those that are `gone`."""

    there: set[bytes] = field(default_factory=set)
    gone: int = 0

    def forget(self, profiles: Mapping[bytes, Profile]) -> None:
        """Whoever is not among the profiles any more was erased."""
        self.gone += len(self.there - profiles.keys())
        self.there &= profiles.keys()


def check_profiles(stage: Stage) -> int:
    """Every profile, pointer, count and bit of all domains; how many addresses are taken. Raises AssertionError, which says what differs."""
    _check_ledger(stage)
    return sum(_check_domain(stage, domain) for domain in stage.domains)


def _check_ledger(stage: Stage) -> None:
    """No run would import any file again."""
    for place, file in enumerate(stage.schedule.files):
        connection = registry.get_connection(stage.real.store, f"c{place}")
        [goal] = connection.import_goals
        found = [one.status for one in scan_goal(stage.real.context, connection, goal)]
        assert found == ["imported"], f"the next run finds {file.name} {found}"


def _check_domain(stage: Stage, domain: str) -> int:
    profiles: dict[bytes, Profile] = {}
    addresses, holders = Addresses(), stage.real.holders(domain)
    imported: defaultdict[str, _Imported] = defaultdict(_Imported)
    rejected: list[Rejected] = []
    ends: Ends = {}
    for registration in _registrations(stage, domain):
        if registration.is_definition:
            continue
        if registration.kind == "expire":
            expire_from(stage, registration, (profiles, addresses, ends))
        elif registration.kind == "erase":
            erased = _erase(stage, registration, profiles, addresses)
            rejected = [one.without(erased) for one in rejected]
            ends = {one: end for one, end in ends.items() if one in profiles}
        else:
            result = _result(stage, registration)
            rows, broken = _rows(stage, registration, result["state"])
            told = _import(tuple(row for _, row in rows), registration, profiles, addresses, holders)
            counted = Outcomes(**{one.name: result[one.name] for one in fields(Outcomes)})
            meant = told.outcomes + Outcomes(rejected=len(broken))
            assert counted == meant, f"import {registration.import_seq} counted\n{counted}, the oracle\n{meant}"
            rejected.append(rejected_of(rows, broken, registration, told, result["rejects_key"]))
            keep(ends, told.imported, registration.needed_plan.expires)
            if registration.connection:
                imported[registration.connection].there |= told.imported
        for one in imported.values():
            one.forget(profiles)
    for each in rejected:
        check_rejects(stage, each)
    _compare(stage.real.profiles(domain), profiles)
    check_ends(stage, domain, ends)
    _check_segments(stage, domain, profiles)
    expected = {**dict(zip(profiles, profiles, strict=True)), **addresses.pointers}
    different = {
        key.hex(): (holders.get(key), expected.get(key)) for key in holders.keys() | expected if holders.get(key) != expected.get(key)
    }
    assert not different, f"{len(different)} of {len(expected)} addresses lead elsewhere: {list(different.items())[:3]}"
    for connection, one in imported.items():
        there, gone = stage.real.imported(domain, connection)
        assert there == one.there, f"{connection} has imported {len(there)} of the profiles, the oracle {len(one.there)}"
        assert gone == one.gone, f"{connection} has imported {gone} profiles that were erased, the oracle {one.gone}"
    return len(holders) + len(addresses.suppressed)


def _check_segments(stage: Stage, domain: str, profiles: dict[bytes, Profile]) -> None:
    """Every bit of every segment, by the definitions; and all that were changed have been built."""
    check_members(stage.real.store, domain, profiles)
    late = [one.name for one in segments_of(stage.real.store, domain) if not one.is_current]
    assert not late, f"never built: {late}"


def _registrations(stage: Stage, domain: str) -> list[Registration]:
    """Everything that has a number in a domain, in order: each of its files once, upload jobs, erasures, expiries, and changes of its definitions."""
    store = stage.real.store
    floor, numbered = sequence.domain_floor(store, domain), sequence.last_number(store, domain)
    assert floor == numbered, f"{floor} of {numbered} imports are over"
    known = [sequence.load_needed(store, domain, import_seq) for import_seq in range(1, numbered + 1)]
    imported = sorted(one.connection for one in known if one.kind == "import" and not one.upload)
    wanted = [f"c{place}" for place, file in enumerate(stage.schedule.files) if file.domain(stage.domain) == domain]
    assert imported == wanted, f"imported: {imported}"
    return known


def _erase(stage: Stage, registration: Registration, profiles: dict[bytes, Profile], addresses: Addresses) -> set[bytes]:
    """What an erasure does to the oracle: the addresses that went."""
    result = sequence.read_result(stage.real.store, registration.domain, registration.import_seq)
    assert (result or {}).get("state") == "COMPLETE", f"erasure {registration.import_seq}: {result}"
    asked = bytes.fromhex(registration.erased)
    profile = addresses.pointers.get(asked, asked)
    gone = addresses.bound_to(profile) if profile in profiles else {asked}
    profiles.pop(profile, None)
    for address in gone:
        addresses.pointers.pop(address, None)
    if registration.suppress:
        addresses.suppressed |= gone
    return gone


def _result(stage: Stage, registration: Registration) -> dict[str, Any]:
    """Of an import: it is complete, but for an upload that was stopped."""
    result = sequence.read_result(stage.real.store, registration.domain, registration.import_seq)
    assert result is not None, f"import {registration.import_seq} has no result"
    stopped = registration.upload and result["state"] == "FAILED" and result["reason"].startswith("STOPPED")
    assert result["state"] == "COMPLETE" or stopped, f"import {registration.import_seq}: {result}"
    return result


def _rows(stage: Stage, registration: Registration, state: str) -> tuple[list[tuple[int, Row]], list[int]]:
    """The rows of an import that must have taken effect, each with its line; the lines that are rejected since they are none."""
    if registration.upload:
        return applied_rows(stage, registration, state)
    return list(enumerate(stage.schedule.files[int(registration.connection.removeprefix("c"))].rows, 2)), []


def _import(
    rows: tuple[Row, ...],
    registration: Registration,
    profiles: dict[bytes, Profile],
    addresses: Addresses,
    holders: Mapping[bytes, bytes],
) -> OracleResult:
    plan = registration.needed_plan
    try:
        return import_rows(profiles, rows, plan, addresses, _decided_in(rows, plan, profiles, holders))
    except ValueError as error:
        raise AssertionError(f"import {registration.import_seq}: {error}") from error


def _decided_in(
    rows: tuple[Row, ...], plan: ImportPlan, profiles: Mapping[bytes, Profile], holders: Mapping[bytes, bytes]
) -> dict[bytes, bytes]:
    """Who got what in this import, as far as the oracle can't know: of the addresses that are wanted here, those whose holder is among those who want
    them, or lives there. Who has got an address in a later import was not among them, or it was somebody's by then."""
    wanted: dict[bytes, set[bytes]] = defaultdict(set)
    linked: set[bytes] = set()
    for row in rows:
        used = plan.link_of_row(row)
        if isinstance(used, Reason):
            continue
        place, own = used
        linked.add(own)
        for one in plan.bindings:
            address = plan.address_of_cell(one.property, one.type, row[one.column]) if one.link != place else None
            if isinstance(address, bytes):
                wanted[address].add(holders.get(own, own))
    return {
        address: holders[address]
        for address, by in wanted.items()
        if address in holders and (holders[address] in by or (holders[address] == address and address in linked | profiles.keys()))
    }


def _compare(found: dict[bytes, Profile], oracle: dict[bytes, Profile]) -> None:
    missing, strange = oracle.keys() - found.keys(), found.keys() - oracle.keys()
    assert found.keys() == oracle.keys(), f"{len(missing)} profiles are missing, {len(strange)} are nobody's"
    different = {key: (found[key], oracle[key]) for key in oracle if found[key] != oracle[key]}
    shown = "".join(f"\n{there}\n  where the oracle has\n{wanted}" for there, wanted in list(different.values())[:2])
    assert not different, f"{len(different)} of {len(oracle)} profiles differ:{shown}"


def check_keys(stage: Stage, addresses: int) -> None:
    """Nothing is left that nobody owns, and nothing of an import that is over."""
    real = stage.real
    for domain, connection in product(stage.domains, registry.connection_names(real.store)):
        # As the connection's next run begins: Redis may have lost, with its last second, that a copy was let go of.
        settle_pins(real.context, domain, connection)

    def clean() -> bool:
        found = {key for node in stage.real.store.nodes() for key in node.scan_iter(count=1000)}
        strangers = [key for key in found if keys.lifetime_of(key) is None]
        assert not strangers, f"strangers: {strangers[:3]}"
        left = [key for key in found if not KEPT.fullmatch(key)]
        profile = keys.lifetime_of(keys.address_prefix(stage.domain, 0) + bytes(16))
        others = [key for key in left if keys.lifetime_of(key) != profile]
        assert not others, f"left behind: {others[:5]}"
        assert len(left) == addresses, f"{len(left)} keys of profiles and pointers, {addresses} addresses"
        for domain, partition in product(stage.domains, range(stage.schedule.partitions)):
            key = keys.fence(domain, partition)
            fences = [name for name in stage.real.store.client.hkeys(key) if name.startswith(b"import:")]
            assert not fences, f"fences of imports that are over in partition {partition} of {domain}: {fences}"
            _check_generations(stage, domain, partition)
        return True

    eventually(clean, within=EMPTIED_SECONDS, what="nothing but profiles is left")


def _check_generations(stage: Stage, domain: str, partition: int) -> None:
    """Of a segment's bits only those are left that are live."""
    store = stage.real.store
    live = {f"{one.id}.{one.live}".encode() for one in segments_of(store, domain)}
    key = keys.segment_generations(domain, partition)
    found = set(store.node_of(key).hkeys(key))
    bits = {
        name.rpartition(b":")[2] for name in store.node_of(key).scan_iter(match=f"{keys.partition_tag(domain, partition)}segment-members:*")
    }
    assert found | bits <= live, f"generations that nobody reads in partition {partition} of {domain}: {(found | bits) - live}"
