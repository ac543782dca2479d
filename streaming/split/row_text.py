"""One well-formed row at a time, and back: for headers and rejected rows. Whole blocks are Arrow's (`streaming.split.table`)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from streaming.split.rows import MAX_ROW_BYTES

# A setting of the whole process, and by default less than a row may have.
csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_BYTES))


def cells_of(text: str, separator: str) -> list[str]:
    return next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])


def row_of(cells: Iterable[str], separator: str) -> str:
    """A row that reads back as the same cells, its line end included. Python's own writer leaves a lone carriage return unquoted."""
    special = (separator, '"', "\n", "\r")
    quoted = ('"' + cell.replace('"', '""') + '"' if any(one in cell for one in special) else cell for cell in cells)
    return separator.join(quoted) + "\n"
