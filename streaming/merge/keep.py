"""Until when an import keeps the profiles that it imports (SPEC U11).

The longest of a profile's sources counts: one that is kept for a while is never kept shorter by another, and a source that sets no end makes it permanent.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.import_plan import ImportPlan
from streaming.merge.step import Profiles
from streaming.merge.vectors import differs, put, take


def keep_imported(profiles: Profiles, plan: ImportPlan) -> None:
    """Of the profiles that rows were imported into. One whose end changes is written, whatever its rows counted as."""
    expires = profiles.columns["expires"]
    if plan.expires is None and expires.null_count == len(expires):
        return
    places = np.flatnonzero(profiles.imported)
    if not len(places):
        return
    before = take(expires, places)
    after: pa.StringArray = pa.nulls(len(places), pa.string())
    if plan.expires is not None:
        longest = pc.max_element_wise(before.cast(pa.int64()), plan.expires, skip_nulls=False)
        is_new = pc.is_null(take(profiles.columns["number"], places))
        after = pc.if_else(is_new, str(plan.expires), longest.cast(pa.string()))
    profiles.columns["expires"] = put(expires, places, after, np.ones(len(places), bool))
    profiles.changed[places] |= differs(before, after)
