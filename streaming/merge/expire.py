"""Profiles that are not kept any more, by ranges of their numbers: each is erased with all its addresses and bits (SPEC U11)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.address import NOBODY, unpacked_addresses
from headrace.import_plan import ImportPlan
from profile_store.records import decode_records
from streaming.merge.erase import erase_group
from streaming.merge.group import Group, MergedGroup, Read
from streaming.neighbours import ERASURE, Telling


def expire_numbers(identifiers: bytes, before: int, group: Group, plan: ImportPlan, read: Read) -> MergedGroup:
    """As `erase_group`, for those of some profiles (packed identifiers, by their numbers) that were to be kept until `before` at most.

    Every number counts: `updated` is gone by this, `unchanged` stays, `skipped` was gone.
    """
    everybody = unpacked_addresses(identifiers)
    addresses = [one for one in everybody if one != NOBODY]
    expires = decode_records(read(addresses), plan.width, {"expires"})["expires"].cast(pa.int64())
    expired = np.flatnonzero(pc.fill_null(pc.less_equal(expires, before), False).to_numpy(zero_copy_only=False))
    orders = np.array([(addresses[place], addresses[place], 0) for place in expired.tolist()], ERASURE)
    merged = erase_group(Group(group.import_seq, None, group.tellings, Telling(erasures=orders)), plan, read)
    merged.count("unchanged", len(addresses) - len(expired))
    merged.count("skipped", len(everybody) - len(addresses))
    return merged
