"""Members of a segment as lines of a file: who of them is exported, and what each cell says (SPEC E1, E2, E6–E8, P1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.address import ADDRESS_BYTES
from profile_store.members import Members, is_set
from profile_store.membership import Bits, Numbers
from profile_store.records import decode_records
from streaming.exporting.lines import lines_of
from streaming.exporting.plan import Cells, ExportPlan, IdentifierCells, PropertyCells, SegmentCells, TextCells
from streaming.exporting.values import harmless, write_column
from streaming.merge.consent import consented
from streaming.merge.vectors import Mask, bools
from streaming.split.row_text import row_of


@dataclass(frozen=True, slots=True)
class Lines:
    """`available`: members with the required consent; `exported`: numbers of those that have a line. `left_out`: header → values that no cell can say."""

    text: memoryview
    available: int
    exported: Numbers
    left_out: Counter[str] = field(default_factory=Counter)


def header_line(plan: ExportPlan) -> str:
    """The file's first line, its end included."""
    return row_of(_safe(plan, pa.array(plan.headers, pa.string())).to_pylist(), plan.format.separator)


def format_members(plan: ExportPlan, members: Members, bits: Sequence[Bits]) -> Lines:
    """`bits`: of each of the plan's segments. Raises UnsupportedFormatError for a record of a newer format, or a wider schema than the plan's."""
    columns = decode_records(members.records, plan.width, plan.needs)
    may = _consented(plan, columns, len(members.numbers))
    going = may & _has_a_value(plan, columns, len(members.numbers))
    numbers = members.numbers[going]
    if not len(numbers):
        return Lines(memoryview(b""), int(may.sum()), numbers)
    chosen = _Chosen(plan, numbers, _of(members.identifiers, going), columns, None if going.all() else pa.array(going), bits)
    left_out = Counter[str]()
    cells = []
    for header, one in zip(plan.headers, plan.cells, strict=True):
        written, missing = _cells(one, chosen)
        cells.append(written)
        if missing:
            left_out[header] = missing
    return Lines(lines_of(cells, plan.format.separator), int(may.sum()), numbers, left_out)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Those that get a line. `columns`: of all members, `going`: which of them (None: all)."""

    plan: ExportPlan
    numbers: Numbers
    identifiers: bytes
    columns: dict[str, Any]
    going: Any
    bits: Sequence[Bits]

    def column(self, property_id: int) -> pa.StringArray:
        column = self.columns[str(property_id)]
        return column if self.going is None else column.filter(self.going)


def _consented(plan: ExportPlan, columns: dict[str, Any], rows: int) -> Mask:
    if not plan.objectives:
        return np.ones(rows, bool)
    if plan.consents_id is None:
        return np.zeros(rows, bool)
    return consented(columns[str(plan.consents_id)], plan.objectives)


def _has_a_value(plan: ExportPlan, columns: dict[str, Any], rows: int) -> Mask:
    if not plan.selects or any(columns[str(one)].null_count == 0 for one in plan.wanted):
        return np.ones(rows, bool)
    found = np.zeros(rows, bool)
    for one in plan.wanted:
        found |= bools(pc.is_valid(columns[str(one)]))
    return found


def _of(identifiers: bytes, going: Mask) -> bytes:
    return identifiers if going.all() else np.frombuffer(identifiers, f"V{ADDRESS_BYTES}")[going].tobytes()


def _cells(cells: Cells, chosen: _Chosen) -> tuple[pa.StringArray, int]:
    """And how many values no cell can say."""
    plan, rows = chosen.plan, len(chosen.numbers)
    match cells:
        case IdentifierCells():
            return _hex(chosen.identifiers), 0
        case TextCells():
            return _safe(plan, _same(cells.text, rows)), 0
        case SegmentCells():
            return _safe(plan, _names(cells, chosen)), 0
        case PropertyCells(property_id=None):
            return pa.nulls(rows, pa.string()), 0
        case PropertyCells():
            assert cells.property_id is not None
            written = write_column(chosen.column(cells.property_id), cells.type, multiple=cells.multiple, cell_format=plan.format.cells)
            is_text = cells.type in ("text", "email")
            return _safe(plan, written.cells) if is_text else written.cells, written.left_out


def _safe(plan: ExportPlan, cells: pa.StringArray) -> pa.StringArray:
    return harmless(cells) if plan.format.spreadsheet_safe else cells


def _same(text: str, rows: int) -> pa.StringArray:
    return pa.array([text], pa.string()).take(pa.array(np.zeros(rows, np.int32)))


def _hex(identifiers: bytes) -> pa.StringArray:
    rows, width = len(identifiers) // ADDRESS_BYTES, 2 * ADDRESS_BYTES
    ends = np.arange(rows + 1, dtype=np.int32) * width
    return pa.Array.from_buffers(pa.string(), rows, [None, pa.py_buffer(ends), pa.py_buffer(identifiers.hex().encode())])


def _names(cells: SegmentCells, chosen: _Chosen) -> pa.StringArray:
    """Few profiles differ in the segments they are in: each combination is spelled once."""
    plan = chosen.plan
    there = [is_set(chosen.bits[plan.segments.index(name)], chosen.numbers) for name in cells.segments]
    if not there:
        return pa.nulls(len(chosen.numbers), pa.string())
    combinations, places = np.unique(np.packbits(np.stack(there, axis=1), axis=1), axis=0, return_inverse=True)
    which = np.unpackbits(combinations, axis=1, count=len(there)).astype(bool)
    names = np.array(cells.segments, object)
    separator = plan.format.multi_value or ""
    spelled = pa.array([separator.join(names[one]) or None for one in which], pa.string())
    return spelled.take(pa.array(places.reshape(-1)))
