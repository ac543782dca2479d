"""A group of messages of one partition, merged into one commit: a row batch, and what neighbours told (DESIGN §2).

All are of one import, so one plan serves them. First the answers to claims are taken in, then rows are merged, forwarded ones among them; then the
neighbours' claims are judged by what lies at their addresses after that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.import_plan import ImportPlan
from headrace.outcomes import Reason, Reject
from profile_store.records import SUPPRESSION, pointed_at, unpacked_addresses
from streaming.merge.columns import distinct_addresses, merge_rows, read_records
from streaming.merge.identifiers import Identifiers, identifier_addresses
from streaming.merge.step import ClaimedCells, Profiles
from streaming.merge.vectors import Mask, Places, put
from streaming.neighbours import CLAIM, NO_CLAIMS, Claims, Telling

Read = Callable[[list[bytes]], list[bytes | None]]
"""Addresses of the partition → what lies there."""


@dataclass(frozen=True, slots=True)
class Group:
    """`batch`: the row batch, if there is one; `tellings`: what neighbours told, in the order it is applied; `order`: to erase a profile."""

    import_seq: int
    batch: pa.RecordBatch | None
    tellings: list[Telling]
    order: Telling | None = None


@dataclass(slots=True)
class MergedGroup:
    """`tellings`: neighbour → what it is told; `pointers`: address → profile identifier. `counts`: tally field → change.

    `erased`: address → whether it is to be suppressed, or just empty; `erased_numbers`: of erased profiles.
    """

    profiles: Profiles
    counts: dict[str, int]
    rejects: list[Reject]
    tellings: dict[int, list[Telling]] = field(default_factory=dict)
    pointers: dict[bytes, bytes] = field(default_factory=dict)
    erased: dict[bytes, bool] = field(default_factory=dict)
    erased_numbers: list[int] = field(default_factory=list)

    def count(self, name: str, change: int) -> None:
        if change:
            self.counts[name] = self.counts.get(name, 0) + change

    def tell(self, neighbour: int, telling: Telling) -> None:
        self.tellings.setdefault(neighbour, []).append(telling)


def no_profiles() -> Profiles:
    return Profiles([], {}, np.zeros(0, bool), np.zeros(0, bool), np.zeros(0, bool))


def merge_group(group: Group, plan: ImportPlan, read: Read) -> MergedGroup:
    """Raises UnsupportedFormatError where a newer release wrote what lies here, and whatever `read` raises."""
    forwarded = [one.rows for one in group.tellings if one.rows is not None]
    batches = [*forwarded, *([] if group.batch is None else [group.batch])]
    rows = pa.concat_batches(batches) if len(batches) > 1 else batches[0] if batches else None
    denied = _joined([one.denied for one in group.tellings])
    claims = _joined([one.claims for one in group.tellings])
    addresses, codes = ([], np.zeros(0, np.int64)) if rows is None else distinct_addresses(rows)
    places = {address: place for place, address in enumerate(addresses)}
    for profile in denied["profile"].tolist():
        places.setdefault(profile, len(places))
    wanted = list(places)
    claimed = [address for address in dict.fromkeys(claims["address"].tolist()) if address not in places]
    found = read([*wanted, *claimed])
    there = dict(zip((*wanted, *claimed), found, strict=True)) if len(claims) else {}
    blobs = found[: len(wanted)]
    merged = MergedGroup(no_profiles(), {}, [])
    elsewhere, suppressed = _not_records(blobs)
    if rows is not None and (elsewhere or suppressed):
        rows, codes = _forward(merged, rows, codes, elsewhere, suppressed, plan)
    if wanted:
        merged.profiles = read_records(wanted, blobs, plan, group.import_seq)
        _take_denials(merged, denied, places, plan, group.import_seq)
    if rows is not None and rows.num_rows:
        _merge(merged, rows, codes, plan, group.import_seq)
    merged.count("arrived", sum(one.num_rows for one in forwarded))
    merged.count("settled", sum(one.settled for one in group.tellings))
    if len(claims):
        _judge(merged, claims, there, places, plan)
    return merged


def _joined(claims: list[Claims]) -> Claims:
    some = [one for one in claims if len(one)]
    return np.concatenate(some) if some else NO_CLAIMS


def _not_records(blobs: list[bytes | None]) -> tuple[dict[int, bytes], list[int]]:
    """Place → profile identifier that the pointer there leads to; and the places that are suppressed. Both are blanked in `blobs`."""
    elsewhere: dict[int, bytes] = {}
    suppressed: list[int] = []
    for place, blob in enumerate(blobs):
        if blob is None or blob[:1] == b"R":
            continue
        if blob == SUPPRESSION:
            suppressed.append(place)
        elif (profile := pointed_at(blob)) is not None:
            elsewhere[place] = profile
        else:
            continue  # a tag that this release does not know: reading the records refuses it
        blobs[place] = None
    return elsewhere, suppressed


def _forward(
    merged: MergedGroup, rows: pa.RecordBatch, codes: Places, elsewhere: dict[int, bytes], suppressed: list[int], plan: ImportPlan
) -> tuple[pa.RecordBatch, Places]:
    """The rows that stay, and their places. Those whose address is a pointer go to where the profile lives, in order; suppressed ones are skipped."""
    size = int(codes.max()) + 1
    led = np.array([place for place in elsewhere if place < size], np.int64)
    profiles, targets, skipped = np.zeros(size, "V16"), np.full(size, -1, np.int64), np.zeros(size, bool)
    profiles[led] = np.frombuffer(b"".join(elsewhere[place] for place in led.tolist()), "V16")
    targets[led] = _partitions(profiles[led], plan)
    skipped[[place for place in suppressed if place < size]] = True
    going = targets[codes]
    leaving = np.flatnonzero(going >= 0)
    if len(leaving):
        order = leaving[np.argsort(going[leaving], kind="stable")]
        sent = rows.take(pa.array(order))
        addressed = pa.Array.from_buffers(pa.binary(16), len(order), [None, pa.py_buffer(profiles[codes[order]].tobytes())])
        sent = sent.set_column(sent.schema.get_field_index("address"), "address", addressed)
        bounds = [0, *(np.flatnonzero(np.diff(going[order])) + 1).tolist(), len(order)]
        for first, end in pairwise(bounds):
            merged.tell(int(going[order[first]]), Telling(rows=sent.slice(first, end - first)))
    merged.count("forwarded", len(leaving))
    merged.count("skipped", int(skipped[codes].sum()))
    staying = np.flatnonzero((going < 0) & ~skipped[codes])
    return rows.take(pa.array(staying)), codes[staying]


def _take_denials(merged: MergedGroup, denied: Claims, places: dict[bytes, int], plan: ImportPlan, import_seq: int) -> None:
    """Denied claims: their cells are rejected, and the values of their profiles folded again without them."""
    if not len(denied):
        return
    profiles = merged.profiles
    by_profile: dict[bytes, list[int]] = {}
    for at, profile in enumerate(denied["profile"].tolist()):
        by_profile.setdefault(profile, []).append(at)
    touched = np.array(sorted(places[profile] for profile in by_profile), np.int64)
    indices = pa.array(touched)
    identities = [one.property_id for one in plan.bindings if one.property_id is not None]
    names = ["addresses", "undecided", *map(str, identities)]
    columns = {name: profiles.columns[name].take(indices).to_pylist() for name in names}
    for at, place in enumerate(touched.tolist()):
        profile = profiles.addresses[place]
        present = {identity: columns[str(identity)][at] for identity in identities}
        one = Identifiers(plan, profile, present, unpacked_addresses(columns["addresses"][at] or ""), columns["undecided"][at])
        for claim in by_profile[profile]:
            binding = plan.bindings[int(denied["binding"][claim])]
            unchanged = one.deny(denied["address"][claim].tobytes())
            merged.count("updated", -unchanged)
            merged.count("unchanged", unchanged)
            line, offset = int(denied["line"][claim]), int(denied["offset"][claim])
            merged.rejects.append(Reject(line, offset, binding.column, Reason.IDENTIFIER_CONFLICT, binding.property))
        columns["addresses"][at], columns["undecided"][at] = one.addresses(), one.undecided(import_seq)
        for identity in identities:
            columns[str(identity)][at] = one.present[identity]
    for name in names:
        profiles.columns[name] = put(profiles.columns[name], touched, pa.array(columns[name], pa.string()), np.ones(len(touched), bool))
    profiles.changed[touched] = True
    merged.count("cells", len(denied))


def _merge(merged: MergedGroup, rows: pa.RecordBatch, codes: Places, plan: ImportPlan, import_seq: int) -> None:
    done = merge_rows(rows, codes, merged.profiles, plan, import_seq)
    for name, number in done.outcomes.as_dict().items():
        merged.count(name, number)
    merged.rejects = sorted((*merged.rejects, *done.rejects), key=lambda one: one.offset)
    if done.claimed:
        claims = np.concatenate([_claims(merged, cells, rows, plan) for cells in done.claimed])
        merged.count("claimed", len(claims))
        _tell_each(merged, claims, claims["address"], plan)


def _claims(merged: MergedGroup, cells: ClaimedCells, rows: pa.RecordBatch, plan: ImportPlan) -> Claims:
    name, profiles = plan.bindings[cells.binding].property, merged.profiles.addresses
    claims = np.empty(len(cells.rows), CLAIM)
    claims["address"] = np.frombuffer(b"".join(identifier_addresses(plan, name, cells.values)), "V16")
    claims["profile"] = np.frombuffer(b"".join(profiles[code] for code in cells.codes.tolist()), "V16")
    claims["line"] = rows.column("line").to_numpy()[cells.rows]
    claims["offset"] = rows.column("offset").to_numpy()[cells.rows]
    claims["binding"] = cells.binding
    return claims


def _partitions(addresses: Any, plan: ImportPlan) -> Places:
    """`partition_of` for a column of addresses."""
    words = np.ascontiguousarray(addresses).view("<u8")[::2]
    partitions: Places = (words % np.uint64(plan.partitions)).astype(np.int64)
    return partitions


def _judge(merged: MergedGroup, claims: Claims, there: dict[bytes, bytes | None], places: dict[bytes, int], plan: ImportPlan) -> None:
    """Grant or deny the neighbours' claims, first come, first served, and answer each."""
    profiles = merged.profiles
    denied = np.zeros(len(claims), bool)
    for at, (address, profile) in enumerate(zip(claims["address"].tolist(), claims["profile"].tolist(), strict=True)):
        holder = merged.pointers.get(address)
        if holder is None:
            place = places.get(address)
            blob = there[address]
            if place is not None and profiles.exists[place]:
                holder = address
            elif blob is None:
                merged.pointers[address] = holder = profile
            elif blob[:1] == b"R":
                holder = address
            else:
                holder = pointed_at(blob)
        denied[at] = holder != profile
    _tell_each(merged, claims, claims["profile"], plan, denied=denied)


def _tell_each(
    merged: MergedGroup,
    claims: Claims,
    by: Any,
    plan: ImportPlan,
    *,
    denied: Mask | None = None,
) -> None:
    """Tell each neighbour its part of `claims`: the partition of the address in `by` is meant. With `denied`: as answers."""
    targets = _partitions(by, plan)
    order = np.argsort(targets, kind="stable")
    for at in np.split(order, np.flatnonzero(np.diff(targets[order])) + 1):
        target, part = int(targets[at[0]]), claims[at]
        merged.tell(target, Telling(claims=part) if denied is None else Telling(settled=len(at), denied=part[denied[at]]))
