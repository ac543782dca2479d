"""A merge under way: what its rounds share."""

from __future__ import annotations

from dataclasses import dataclass
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
    """The profiles of a batch, a row for each address. `columns` as `decode_records` gives them; `exists`, `changed`: bool per profile."""

    addresses: list[bytes]
    columns: dict[str, Any]
    exists: Mask
    changed: Mask


@dataclass(slots=True)
class Step:
    """`codes`: row → place of its profile; `outcome`: row → index into OUTCOMES or UNDECIDED; `overflow`: column → rows whose sum is out of range."""

    plan: ImportPlan
    profiles: Profiles
    codes: Places
    casts: list[Cast]
    outcome: npt.NDArray[np.int8]
    overflow: dict[str, list[int]]
