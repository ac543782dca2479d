"""Small things on Arrow arrays and numpy masks that the merge does everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


def bools(array: Any) -> Mask:
    """A boolean array as numpy's; null is false."""
    return np.array(pc.fill_null(array, False).to_numpy(zero_copy_only=False), dtype=bool)


def null_where(values: Any, mask: Mask) -> Any:
    return pc.if_else(pa.array(mask), pa.scalar(None, values.type), values) if mask.any() else values


_TABLE = 20_000_000
"""So many marks at most (a byte each) are held in place of sorting."""


def item_keys(rows: Places, items: pa.StringArray) -> tuple[Places, int]:
    """A number for each (row, text), equal where both are: row * distinct texts + text. And how many distinct texts there are."""
    encoded = items.dictionary_encode()
    distinct = max(1, len(encoded.dictionary))
    keys: Places = rows.astype(np.int64) * distinct + encoded.indices.to_numpy(zero_copy_only=False)
    return keys, distinct


def not_among(keys: Places, others: Places, end: int) -> Mask:
    """Which keys are not among the others; all are below `end`."""
    if end > _TABLE:
        return ~np.isin(keys, others)
    there = np.zeros(end, bool)
    there[others] = True
    found: Mask = ~there[keys]
    return found


def doubles(keys: Places, end: int) -> Places:
    """The keys that are there more than once; all are below `end`."""
    if end <= _TABLE:
        there = np.zeros(end, bool)
        there[keys] = True
        if np.count_nonzero(there) == len(keys):
            return np.empty(0, np.int64)
    ordered = np.sort(keys)
    found: Places = ordered[1:][ordered[1:] == ordered[:-1]]
    return found


def differs(old: pa.StringArray, new: pa.StringArray) -> Mask:
    """Where a value changed; null to null is no change."""
    same = bools(pc.equal(old, new))
    return ~(same | bools(pc.and_(pc.is_null(old), pc.is_null(new))))


def take(column: Any, places: Places) -> Any:
    """`column` at `places`; where that is all of it in order, the column itself."""
    return column if is_whole(places, len(column)) else column.take(pa.array(places))


def put(column: Any, places: Places, values: Any, keep: Mask) -> Any:
    """`column` with `values` at `places` (ascending, unique), where `keep`."""
    if keep.all():
        if is_whole(places, len(column)):
            return values
    else:
        places, values = places[keep], values.filter(pa.array(keep))
    mask = np.zeros(len(column), bool)
    mask[places] = True
    return pc.replace_with_mask(column, pa.array(mask), values)


def is_whole(places: Places, size: int) -> bool:
    return len(places) == size and bool((np.diff(places) == 1).all())
