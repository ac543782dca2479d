"""Columns are written as the definition writes values, and what is written reads back (SPEC E5, E6, E9)."""

from __future__ import annotations

import csv
import io
from datetime import datetime

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.cells import CellFormat, canonical_datetime, read_cell, read_list
from headrace.outcomes import Reason
from headrace.written_cells import loses, write_cell
from profile_store.records import stored
from streaming.exporting.column_bytes import bytes_of, replaced
from streaming.exporting.lines import lines_of
from streaming.exporting.values import harmless, write_column

FORMATS = st.builds(
    CellFormat,
    decimal=st.sampled_from([".", ","]),
    multi_value=st.sampled_from([None, "|", " ", "/", ",", "\t", "\x1e", "é"]),
    date_format=st.sampled_from(["%Y-%m-%d", "%d/%m/%Y", "%Y%m%d", "%d %b %Y", "%y.%m.%d", "%G-%V-%u", "Y%Y %j"]),
    datetime_format=st.sampled_from(
        [
            "%Y-%m-%d %H:%M:%S",
            "%d/%m/%Y %H:%M",
            "%Y-%m-%dT%H:%M:%S%z",
            "%Y%m%d%H%M%S.%f",
            "%d/%m/%y %I %p",
            "%Y-%m-%dT%H:%M:%SZ",
            "H%H %%%d%m%Y",
        ]
    ),
    time_zone=st.sampled_from(["UTC", "Europe/Amsterdam", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata"]),
)
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
    st.sampled_from(["a|b", "=1+1", 'a"b', "a\r\nb", " x ", "-", "é"]),
)
NUMBERS = st.from_regex(r"\A-?(0|[1-9][0-9]{0,25})(\.[0-9]{0,11}[1-9])?\Z").filter(lambda one: one != "-0")
DATES = st.dates().map(lambda one: one.isoformat())
DATETIMES = (
    st.one_of(
        st.datetimes(),
        st.datetimes(datetime(2026, 3, 28), datetime(2026, 3, 30)),
        st.datetimes(datetime(2026, 10, 24), datetime(2026, 10, 26)),
    )
    .flatmap(lambda one: st.sampled_from([one, one.replace(microsecond=0)]))
    .map(canonical_datetime)
)
VALUES = {
    "text": TEXTS.filter(lambda one: read_cell("text", one, CellFormat()) == one),
    "number": NUMBERS,
    "date": DATES,
    "datetime": DATETIMES,
    "email": st.just("a.b@example.com"),
    "boolean": st.sampled_from(["true", "false"]),
}
COLUMNS = st.sampled_from(sorted(VALUES)).flatmap(
    lambda kind: st.tuples(
        st.just(kind),
        st.one_of(
            st.lists(st.one_of(st.none(), VALUES[kind]), max_size=10),
            st.lists(st.one_of(st.none(), st.lists(VALUES[kind], min_size=1, max_size=3, unique=True).map(tuple)), max_size=10),
        ),
    )
)


@settings(max_examples=400)
@given(COLUMNS, FORMATS)
@example(("datetime", ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]), CellFormat(time_zone="Europe/Amsterdam"))
@example(("datetime", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]), CellFormat(time_zone="Australia/Lord_Howe"))
@pytest.mark.spec("E5", "E6", "E9")
def test_a_column_is_written_as_its_values_are_and_reads_back(
    column: tuple[str, list[str | tuple[str, ...] | None]], cell_format: CellFormat
) -> None:
    kind, values = column
    multiple = any(isinstance(one, tuple) for one in values)
    if multiple and cell_format.multi_value is None:
        cell_format = CellFormat(multi_value="|")
    found = write_column(
        pa.array([None if one is None else stored(one) for one in values], pa.string()), kind, multiple=multiple, cell_format=cell_format
    )
    expected = [None if one is None else write_cell(kind, one, cell_format) for one in values]
    assert found.cells.to_pylist() == expected
    assert found.left_out == sum(one is None for one in expected) - values.count(None)

    for value, cell in zip(values, expected, strict=True):
        if value is None or cell is None:
            continue
        read = read_list(kind, cell, cell_format) if multiple else read_cell(kind, cell, cell_format)
        assert not isinstance(read, Reason)
        assert read is not None
        again = write_cell(kind, read, cell_format)
        assert again == cell or len(set(str(cell).split(cell_format.multi_value or "\0"))) < len(value), "byte-equal after another round"
        if not loses(kind, cell_format):
            assert read == value


CELLS = st.lists(st.one_of(st.none(), TEXTS), min_size=3, max_size=3)


@settings(max_examples=150)
@given(st.lists(CELLS, min_size=1, max_size=6), st.sampled_from([",", ";", "\t", "|", "é", "]", "^", "\\", "-", "\x1d"]), st.integers(1, 3))
@pytest.mark.spec("E5")
def test_lines_read_back_as_the_same_cells(rows: list[list[str | None]], separator: str, width: int) -> None:
    rows = [row[:width] for row in rows]
    text = bytes(lines_of([pa.array(column, pa.string()) for column in zip(*rows, strict=True)], separator)).decode()
    read = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    assert read == [[cell or "" for cell in row] for row in rows]


@given(st.lists(st.one_of(st.none(), TEXTS), min_size=2, max_size=8), st.sampled_from([",", "|", "é", "--", ""]))
def test_a_part_of_a_column_is_looked_through_and_replaced_by_its_bytes(texts: list[str | None], new: str) -> None:
    part = pa.array(texts, pa.string()).slice(1, len(texts) - 2)
    assert bytes_of(part).decode() == "".join(one or "" for one in texts[1:-1])
    assert replaced(part, "a", new).to_pylist() == [None if one is None else one.replace("a", new) for one in texts[1:-1]]


@pytest.mark.spec("E8")
def test_cells_that_a_spreadsheet_would_run_are_made_text() -> None:
    cells = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠x", "a=1", "", None, " =1"]
    assert harmless(pa.array(cells)).to_pylist() == [*(f"'{one}" for one in cells[:11]), "a=1", "", None, " =1"]
