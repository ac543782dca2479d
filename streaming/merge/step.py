"""A merge under way: what its rounds share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.import_plan import ImportPlan
from headrace.outcomes import Outcome
from streaming.merge.cast import Cast
from streaming.merge.vectors import Mask, Places

OUTCOMES = (Outcome.CREATED, Outcome.UPDATED, Outcome.UNCHANGED, Outcome.SKIPPED, Outcome.REJECTED)
CREATED, UPDATED, UNCHANGED, SKIPPED, REJECTED = range(5)
UNDECIDED = -1


@dataclass(slots=True)
class Profiles:
    """The profiles of a batch, a row for each address. `columns` as `decode_records` gives them; `exists`, `changed`, `imported`: bool per profile.

    `imported`: some row of it was neither skipped nor rejected (SPEC R3).
    """

    addresses: list[bytes]
    columns: dict[str, Any]
    exists: Mask
    changed: Mask
    imported: Mask


@dataclass(frozen=True, slots=True)
class ClaimedCells:
    """Cells whose identifiers are claimed: `binding` is their place in the plan; a row, the place of its profile and a value for each."""

    binding: int
    rows: Places
    codes: Places
    values: list[str]


@dataclass(slots=True)
class Step:
    """`codes`: row → place of its profile; `outcome`: row → index into OUTCOMES or UNDECIDED; `overflow`: (column, property) → rows whose sum is out of range.

    `used`: row → place of the link it used; `lines`: row → line in the file; `bound`: a column of values for each of the plan's bindings.
    `conflicts`: (column, property) → rows whose identifier is known to be another profile's.
    """

    plan: ImportPlan
    import_seq: int
    profiles: Profiles
    codes: Places
    used: npt.NDArray[np.int8]
    lines: Places
    casts: list[Cast]
    bound: list[Cast]
    outcome: npt.NDArray[np.int8]
    overflow: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    conflicts: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    claimed: list[ClaimedCells] = field(default_factory=list)

    def each_cast(self) -> list[Cast]:
        """Every column of cells once, those that are only bound too."""
        return list({id(cast): cast for cast in (*self.casts, *self.bound)}.values())

    def forget_cells(self, rows: Iterable[int]) -> None:
        """Nothing is told of the cells of these rows, bad ones neither."""
        gone = set(rows)
        for cast in self.each_cast():
            for row in gone & cast.bad.keys():
                del cast.bad[row]
