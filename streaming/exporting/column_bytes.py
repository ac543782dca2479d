"""The bytes of a column of texts, all at once: most columns hold nothing of what is looked for, and one pass over their memory says so."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


def bytes_of(column: pa.StringArray) -> bytes:
    """Its texts, one behind the other."""
    offsets = _offsets(column)
    first, end = int(offsets[0]), int(offsets[-1])
    return b"" if first == end else bytes(memoryview(column.buffers()[2])[first:end])


def replaced(column: pa.StringArray, old: str, new: str) -> pa.StringArray:
    """`old`, one ASCII character, as `new` wherever it is; null stays null."""
    if old == new or old.encode() not in bytes_of(column):
        return column
    if len(new) != 1 or not new.isascii():
        return pc.replace_substring(column, old, new)
    validity, offsets, data = column.buffers()
    changed = bytes(memoryview(data)[: int(_offsets(column)[-1])]).translate(bytes.maketrans(old.encode(), new.encode()))
    return pa.Array.from_buffers(column.type, len(column), [validity, offsets, pa.py_buffer(changed)], offset=column.offset)


def _offsets(column: pa.StringArray) -> npt.NDArray[np.int32]:
    if not len(column):
        return np.zeros(1, np.int32)
    return np.frombuffer(column.buffers()[1], np.int32, len(column) + 1, 4 * column.offset)
