"""Erasure of one profile, in the partitions that know of it (SPEC P2): a number of its own in the sequence, so nothing else is in flight.

The order goes to the partition of one of the profile's addresses. A pointer there sends it on to where the profile lives; there the record goes, and every
other address it lists is told to go too. `forwarded` and `arrived` count these messages; the one outcome is `updated`, or `skipped` where there was nothing.
"""

from __future__ import annotations

import numpy as np

from headrace.address import PROFILE_IDENTIFIER, partition_of
from headrace.import_plan import ImportPlan, PlannedLink, PlannedMapping
from headrace.schema import DomainSchema
from profile_store.records import SUPPRESSION, Record, decode_record, pointed_at
from streaming.merge.group import Group, MergedGroup, Read, no_profiles
from streaming.merge.identifiers import Identifiers
from streaming.neighbours import Telling, erasure


def erasure_plan(domain: str, partitions: int, address_key: str, schema: DomainSchema) -> ImportPlan:
    """What workers need to know to find all addresses of a profile: the domain's identifiers. Retired ones are bound still."""
    mappings = tuple(
        PlannedMapping(column=one.name, property=one.name, property_id=one.id, type=one.type, identifier=True, rule="set_if_empty")
        for one in schema.properties
        if one.identifier
    )
    return ImportPlan(
        domain=domain,
        partitions=partitions,
        address_key=address_key,
        schema_version=schema.version,
        width=len(schema.properties),
        links=(PlannedLink(column=PROFILE_IDENTIFIER, property=PROFILE_IDENTIFIER),),
        mappings=mappings,
    )


def addresses_of_record(plan: ImportPlan, address: bytes, record: Record) -> set[bytes]:
    """All that are bound to the profile that lives at `address`, but that one. `plan`: an erasure's."""
    present = {one.property_id: _single(record.values.get(one.property_id)) for one in plan.bindings if one.property_id is not None}
    return Identifiers(plan, address, present, record.addresses, None).others()


def erase_group(group: Group, plan: ImportPlan, read: Read) -> MergedGroup:
    """As `merge_group`, for messages of an erasure."""
    told = [one.erasures for one in group.tellings]
    orders = np.concatenate([*told, *([] if group.order is None else [group.order.erasures])])
    merged = MergedGroup(no_profiles(), {}, [])
    merged.count("arrived", sum(map(len, told)))
    addresses = orders["address"].tolist()
    for (address, profile, suppress), blob in zip(orders.tolist(), read(addresses), strict=True):
        if address == profile:
            _erase(merged, address, suppress, blob, plan)
        elif blob is None or blob == SUPPRESSION or pointed_at(blob) == profile:
            merged.erased[address] = bool(suppress) or blob == SUPPRESSION
    return merged


def _erase(merged: MergedGroup, address: bytes, suppress: int, blob: bytes | None, plan: ImportPlan) -> None:
    """The profile that this address is bound to."""
    if blob is None or blob == SUPPRESSION:
        merged.count("skipped", 1)
        if suppress:
            merged.erased[address] = True
        return
    lives_at = pointed_at(blob)
    if lives_at is not None:
        _send(merged, plan, lives_at, lives_at, suppress)
        return
    record = decode_record(blob, frozenset())
    for other in sorted(addresses_of_record(plan, address, record)):
        _send(merged, plan, other, address, suppress)
    merged.erased[address] = bool(suppress)
    merged.erased_numbers.append(record.number)
    merged.count("updated", 1)


def _single(value: str | tuple[str, ...] | None) -> str | None:
    return value if isinstance(value, str) else None


def _send(merged: MergedGroup, plan: ImportPlan, address: bytes, profile: bytes, suppress: int) -> None:
    merged.tell(partition_of(address, plan.partitions), Telling(erasures=erasure(address, profile, suppress)))
    merged.count("forwarded", 1)
