"""One partition's members as lines, all of one commit version, each once (docs/adr/0020).

They are read chunk by chunk, while imports go on. Should a commit come in between, what was read is thrown away and the partition is read again; after
some such attempts by one script, which nothing can come between. So an export ends under any load.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO

import numpy as np

from profile_store.members import Reading, read_at_once, read_in_chunks
from profile_store.store import Store
from streaming.exporting.format_members import format_members
from streaming.exporting.plan import ExportPlan

Seen = Callable[[int], None]

ATTEMPTS = 3
"""In chunks. A partition of 30,000 profiles is read in 60 ms, and gets a commit every second under a full import."""


@dataclass(slots=True)
class ExportedPartition:
    """`members`: of the segment; `available`: those with the required consent; `exported`: those that have a line, `bits`: their numbers.

    `left_out`: header → values that no cell can say.
    """

    members: int = 0
    available: int = 0
    exported: int = 0
    bits: bytes = b""
    left_out: Counter[str] = field(default_factory=Counter)


def _unseen(_members: int) -> None:
    """For callers that show nothing."""


def export_partition(store: Store, plan: ExportPlan, partition: int, spool: IO[bytes], seen: Seen = _unseen) -> ExportedPartition:
    """The lines go to `spool`, which is emptied first. `seen` is told how many members were read so far, chunk by chunk."""
    for reading in _readings(store, plan, partition):
        spool.seek(0)
        spool.truncate()
        found = _format(plan, reading, spool, seen)
        if reading.undisturbed():
            return found
    raise AssertionError("what is read at once can't be disturbed")


def _readings(store: Store, plan: ExportPlan, partition: int) -> Iterator[Reading]:
    for _ in range(ATTEMPTS):
        yield read_in_chunks(store, plan.domain, partition, plan.segment_ids)
    yield read_at_once(store, plan.domain, partition, plan.segment_ids)


def _format(plan: ExportPlan, reading: Reading, spool: IO[bytes], seen: Seen) -> ExportedPartition:
    found = ExportedPartition()
    exported = np.zeros(8 * len(reading.bits[0]), bool)
    for members in reading.chunks:
        lines = format_members(plan, members, reading.bits)
        spool.write(lines.text)
        found.members += len(members.numbers)
        found.available += lines.available
        found.exported += len(lines.exported)
        found.left_out += lines.left_out
        exported[lines.exported] = True
        seen(found.members)
        del members, lines  # before the next are read: two chunks for each thread would be the most that an export holds
    found.bits = np.packbits(exported).tobytes()
    return found
