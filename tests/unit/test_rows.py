"""Where rows begin and end: held against Python's csv module where a file is well formed, and against hand-made cases where it is not."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.outcomes import Reason
from streaming.split import rows as rows_module
from streaming.split.rows import BadLine, RowReader


def read(data: bytes, chunk: int = 1 << 20, separator: bytes = b",") -> tuple[list[tuple[int, int, bytes]], list[BadLine]]:
    """(line, offset, raw) of each row, and the bad lines."""
    source = io.BytesIO(data)
    rows: list[tuple[int, int, bytes]] = []
    bad: list[BadLine] = []
    for block in RowReader(lambda _: source.read(chunk), separator).blocks():
        rows += [(int(block.lines[i]), int(block.offsets[i]), block.raw(i)) for i in range(block.rows)]
        bad += block.bad
    return rows, bad


CELLS = st.text(st.sampled_from(list('ab,;"\n\r é')), max_size=6)


@settings(max_examples=300)
@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=12), st.sampled_from(["\n", "\r\n"]), st.integers(1, 40))
@pytest.mark.spec("I11")
def test_well_formed_files_give_the_rows_that_csv_gives_in_any_chunking(table: list[list[str]], line_end: str, chunk: int) -> None:
    out = io.StringIO(newline="")
    if chunk % 2:
        csv.writer(out, lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows(table)
    else:  # Python 3.11 leaves a lone carriage return unquoted
        table = [[cell.replace("\r", "x") for cell in row] for row in table]
        csv.writer(out, lineterminator=line_end, quoting=csv.QUOTE_MINIMAL).writerows(table)
    data = out.getvalue().encode()
    found, bad = read(data, chunk)
    assert not bad
    parsed = [next(csv.reader(io.StringIO(raw.decode(), newline=""))) for _, _, raw in found]
    assert parsed == table
    for line, offset, raw in found:
        assert data[offset : offset + len(raw)] == raw
        assert line == 1 + data[:offset].count(b"\n")


@settings(max_examples=500)
@given(st.binary(max_size=80).map(lambda b: bytes(b'ab,"\n\r'[x % 6] for x in b)), st.integers(1, 30))
def test_any_bytes_give_the_same_rows_and_faults_in_any_chunking(data: bytes, chunk: int) -> None:
    assert read(data, chunk) == read(data)


@settings(max_examples=500)
@given(st.binary(max_size=80).map(lambda b: bytes(b'ab,"\n\r'[x % 6] for x in b)))
def test_every_byte_is_in_a_row_or_a_bad_line_or_an_empty_line(data: bytes) -> None:
    found, bad = read(data)
    pieces = {offset: raw for _, offset, raw in found} | {one.offset: one.raw for one in bad}
    rebuilt = bytearray(b"\n" * len(data))
    for offset, raw in pieces.items():
        rebuilt[offset : offset + len(raw)] = raw
    assert bytes(rebuilt).replace(b"\r", b"\n") == data.replace(b"\r", b"\n")


@pytest.mark.parametrize(
    ("data", "rows", "faults"),
    [
        (b'a,b\n1,"x\n2,y\n3,z\n', [b"a,b", b"2,y", b"3,z"], [(2, Reason.UNCLOSED_QUOTE)]),
        (b'a,b\n1,"x\n2,"y"\n3,z\n', [b"a,b", b'2,"y"', b"3,z"], [(2, Reason.BAD_QUOTE)]),
        (b'a,b\n1,"x"y\n2,y\n', [b"a,b", b"2,y"], [(2, Reason.BAD_QUOTE)]),
        (b'a,b\n1,5" disk\n2,y\n', [b"a,b", b'1,5" disk', b"2,y"], []),
        (b"a,b\n1,x\ry\n2,y\n", [b"a,b", b"2,y"], [(2, Reason.BAD_LINE_END)]),
        (b'a,b\n1,"x\n\ny"\n\n2,y', [b"a,b", b'1,"x\n\ny"', b"2,y"], []),
        (b"a,b\n\r\n\n1,x\r\n", [b"a,b", b"1,x"], []),
    ],
)
def test_a_fault_costs_its_line_alone(data: bytes, rows: list[bytes], faults: list[tuple[int, Reason]]) -> None:
    for chunk in (1, 3, 7, 1000):
        found, bad = read(data, chunk)
        assert [raw for _, _, raw in found] == rows
        assert [(one.line, one.reason) for one in bad] == faults


def test_a_line_that_is_too_long_is_skipped_and_never_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "MAX_ROW_BYTES", 1000)
    data = b"a,b\n" + b"x" * 50_000 + b"\n1,2\n" + b'"' + b"line\n" * 300 + b'"\n3,4\n'
    for chunk in (100, 999, 1 << 20):
        found, bad = read(data, chunk)
        assert [raw for _, _, raw in found if raw != b"line"] == [b"a,b", b"1,2", b"3,4"]
        assert [(one.line, one.reason) for one in bad] == [
            (2, Reason.ROW_TOO_LONG),
            (4, Reason.UNCLOSED_QUOTE),
            (304, Reason.UNCLOSED_QUOTE),
        ]
