"""Cells as the lines of a CSV file that reads back as the same cells (RFC 4180; SPEC E5, E9)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.exporting.column_bytes import bytes_of

QUOTE = '"'


def lines_of(columns: Sequence[pa.StringArray], separator: str) -> memoryview:
    """A line for each row, its end included, in UTF-8; null is an empty cell. At least one column, all of one length."""
    rows = len(columns[0])
    quoted = [_quoted(column, separator) for column in columns]
    if len(quoted) == 1:
        # An empty line would be no row.
        quoted = [pc.if_else(pc.equal(pc.fill_null(quoted[0], ""), ""), QUOTE * 2, quoted[0])]
    last = pc.binary_join_element_wise(quoted[-1], "\n", "", null_handling="replace", null_replacement="")
    lines = pc.binary_join_element_wise(*quoted[:-1], last, separator, null_handling="replace", null_replacement="")
    offsets = np.frombuffer(lines.buffers()[1], np.int32)
    data = lines.buffers()[2]
    return memoryview(b"" if data is None else data)[offsets[lines.offset] : offsets[lines.offset + rows]]


def _quoted(cells: pa.StringArray, separator: str) -> pa.StringArray:
    """In quotes where a cell holds what has a meaning in CSV."""
    text = bytes_of(cells)
    if not any(one.encode() in text for one in (separator, QUOTE, "\r", "\n")):
        return cells
    special = pc.match_substring_regex(cells, f'[{re.escape(separator)}"\r\n]')
    if not pc.any(special).as_py():
        return cells
    doubled = pc.replace_substring(cells, QUOTE, QUOTE * 2)
    return pc.if_else(special, pc.binary_join_element_wise(QUOTE, doubled, QUOTE, ""), cells)
