"""The splitter as a whole: the same bytes give the same batches however they are read; Arrow's reader sees the rows that the cutter cut."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.errors import TerminalError
from headrace.import_plan import PlannedLink
from headrace.outcomes import Reason
from streaming.split import batches as batches_module
from streaming.split import rows as rows_module
from streaming.split.table import HeaderError
from tests.splitting import cells, content, plan_for, rejects, split

PIECES = st.sampled_from(["#", "#", '"', '"', "\n", "\n", "\r", "\r\n", '""', "a", "b", " ", "é", "\ufeff", "\x1f", "\x1d", "\\", "'", "§"])
"""# is the separator."""
BODIES = st.lists(PIECES, max_size=70).map("".join)
SEPARATORS = st.sampled_from([",", ";", "|", "\t", " ", "a", "\\", "'", "\x1d", "§", "¦", "…", "🂡"])


@settings(max_examples=200)
@given(BODIES, SEPARATORS, st.integers(1, 60), st.integers(1, 3), st.sampled_from([12, 40, rows_module.MAX_ROW_BYTES]))
@example('"§\n\ufeff"\n\n', "§", 1, 1, 40)
@example("x\n\ufeffy\n", ",", 1, 1, rows_module.MAX_ROW_BYTES)
@example('"\n' + "b" * 45 + '"x\n', ",", 1, 1, 40)
@example('"\n' + "b" * 37 + '"\r\n', ",", 1, 1, 40)
@pytest.mark.spec("I6", "I11", "B1")
def test_the_same_bytes_give_the_same_batches_and_rejects_in_any_chunking(
    body: str, separator: str, chunk: int, width: int, longest: int
) -> None:
    columns = tuple("xyz"[:width])
    data = (separator.join(columns) + "\n" + body.replace("#", separator)).encode()
    plan = plan_for(columns, 3, separator=separator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows_module, "MAX_ROW_BYTES", longest)
        patch.setattr(rows_module, "RAW_BYTES", 8)
        patch.setattr(batches_module, "BATCH_ROWS", 2)
        batches, totals = split(data, plan)
        refused = rejects(data, plan)
        again, same = split(data, plan, chunk)
        patch.setattr(rows_module, "CHUNK_BYTES", chunk + 7)
        blocks, too = split(data, plan)
        assert content(batches) == content(again) == content(blocks)
        assert totals == same == too
        assert refused == rejects(data, plan) == rejects(data, plan, chunk)


@settings(max_examples=200)
@given(BODIES, SEPARATORS, st.integers(1, 3))
@pytest.mark.spec("I1", "I6", "I11", "R4")
def test_every_row_is_read_as_csv_reads_it_or_rejected_with_its_bytes(body: str, separator: str, width: int) -> None:
    columns = tuple("xyz"[:width])
    header = (separator.join(columns) + "\n").encode()
    data = header + body.replace("#", separator).encode()
    plan = plan_for(columns, separator=separator)
    batches, totals = split(data, plan)
    rows = [row for batch in batches for row in batch.rows.to_pylist()]
    refused = rejects(data, plan)
    assert totals.rows == len(rows) + len(refused)
    assert totals.rejected == len(refused)
    for row in rows:
        rest = io.StringIO(data[row["offset"] :].decode(), newline="")
        assert next(csv.reader(rest, delimiter=separator)) == [row[str(place)] for place in range(width)]
    for reject, raw in refused:
        assert data[reject.offset : reject.offset + len(raw)] == raw
        assert reject.line == 1 + data[: reject.offset].count(b"\n")


@pytest.mark.spec("I11")
@pytest.mark.parametrize("chunk", [1, 4, 5, 1000])
def test_a_byte_order_mark_is_stripped_at_the_start_of_the_file_and_nowhere_else(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "CHUNK_BYTES", chunk)
    data = "\ufeffid,text\nA,\ufeffx\n\ufeffB,y\n\ufeffC,z\n".encode()
    assert cells(data, plan_for()) == [["A", "\ufeffx"], ["\ufeffB", "y"], ["\ufeffC", "z"]]


@pytest.mark.spec("I1")
def test_the_first_line_names_the_columns_and_rows_with_another_number_of_columns_are_rejected() -> None:
    data = b"text,id\nx,A\ny\nz,B,more\n,C\n"
    assert cells(data, plan_for()) == [["A", "x"], ["C", ""]]
    assert [(one.line, one.reason, raw) for one, raw in rejects(data, plan_for())] == [
        (3, Reason.WRONG_COLUMN_COUNT, b"y"),
        (4, Reason.WRONG_COLUMN_COUNT, b"z,B,more"),
    ]


@pytest.mark.spec("I1")
@pytest.mark.parametrize("lines", [b"\n", b"\r\n\r\n", b"\xef\xbb\xbf\n"])
def test_empty_lines_before_the_header_are_not_the_header(lines: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "CHUNK_BYTES", 1)
    assert cells(lines + b"id,text\nA,x\n", plan_for()) == [["A", "x"]]


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (b"", "EMPTY_FILE", "is empty"),
        (b"\xef\xbb\xbf", "EMPTY_FILE", "is empty"),
        (b"\n\r\n\n", "EMPTY_FILE", "is empty"),
        (b"id,other\nA,x\n", "COLUMN_MISSING", "line 1: there is no column 'text'; the columns are 'id', 'other'"),
        (b"id,text,text\nA,x,y\n", "COLUMN_TWICE", "line 1: 2 columns are called 'text'"),
        (b" id,text\n", "COLUMN_MISSING", "no column 'id'"),
        (b'id,"text\nA,x\n', "BAD_HEADER", "line 1: the header can't be read. A quoted cell opens"),
        (b"id,text\rA,x\rB,y\r", "BAD_HEADER", "line 1: the header can't be read. A carriage return stands alone"),
        (b"id,text\r" * 100_000, "BAD_HEADER", "line 1: the header can't be read. A carriage return stands alone"),
        (",".join(f"column {n}" for n in range(60_000)).encode(), "BAD_HEADER", "The row is longer than 512 KiB"),
        (b"i" * 600_000 + b"\nA,x\n", "BAD_HEADER", "line 1: the header can't be read. The row is longer than 512 KiB"),
        ("é,id,text\n".encode("cp1252"), "BAD_HEADER", "line 1, byte 0: the header is not text in the file's encoding"),
        ("id,text\nA,x\n".encode("utf-16"), "BAD_HEADER", "line 1, byte 0: the header is not text"),
        ("id,text\nA,x\n".encode("utf-16-le"), "BAD_HEADER", "line 1: the header holds NUL bytes; is this UTF-16"),
        (bytes(range(14, 256)) * 40, "BAD_HEADER", "line 1"),
    ],
)
@pytest.mark.spec("I1", "I11")
def test_a_file_without_a_usable_header_says_why(data: bytes, code: str, said: str) -> None:
    for chunk in (1000, 1 << 20):
        with pytest.raises(HeaderError) as caught:
            split(data, plan_for(), chunk)
        assert caught.value.code == code
        assert "in/a.csv" in caught.value.message
        assert said in caught.value.message
        assert len(str(caught.value)) < 3000


@pytest.mark.spec("I1")
def test_a_header_alone_is_a_file_of_no_rows() -> None:
    for data in (b"id,text", b"id,text\n", b"\xef\xbb\xbfid,text\r\n", b"\n\nid,text\n\n\n"):
        batches, totals = split(data, plan_for())
        assert (batches, totals.rows, totals.rejected, totals.batches) == ([], 0, 0, [0])


@pytest.mark.spec("I1", "M3")
def test_blank_and_doubled_names_of_columns_that_are_not_mapped_do_no_harm() -> None:
    data = b'id,,x,"",x,text\nA,1,2,3,4,here\n'
    assert cells(data, plan_for()) == [["A", "here"]]


@pytest.mark.spec("I1")
def test_a_hundred_thousand_columns() -> None:
    names = [np.base_repr(n, 36) for n in range(100_000)]
    data = "\n".join([",".join(["id", *names, "text"]), ",".join(["A", *["1"] * 100_000, "x"]), "B,x"]).encode()
    assert cells(data, plan_for()) == [["A", "x"]]
    assert [(one.line, one.reason) for one, _ in rejects(data, plan_for())] == [(3, Reason.WRONG_COLUMN_COUNT)]


@pytest.mark.spec("I11")
def test_a_cell_of_half_a_megabyte_is_read_whole() -> None:
    long = "x" * 500_000
    data = f'{"n" * 200_000},id,text\n1,A,{long}\n1,B,"{long}"\n'.encode()
    assert cells(data, plan_for()) == [["A", long], ["B", long]]


@pytest.mark.spec("I11", "M11")
def test_bytes_that_are_no_text_cost_their_row_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"id,text\nA,x\nB,\xff\nC,\xc3\nD,a\0b\nE,y\nF,\xed\xa0\x80\nG,z\n"
    for chunk in (1, 9, 1000):
        monkeypatch.setattr(rows_module, "CHUNK_BYTES", chunk)
        assert cells(data, plan_for()) == [["A", "x"], ["E", "y"], ["G", "z"]]
        assert [(one.line, one.reason) for one, _ in rejects(data, plan_for())] == [
            (3, Reason.BAD_ENCODING),
            (4, Reason.BAD_ENCODING),
            (5, Reason.NUL_BYTE),
            (7, Reason.BAD_ENCODING),
        ]


@pytest.mark.spec("I11", "I12")
def test_a_block_in_which_every_row_is_no_text_takes_time_in_proportion() -> None:
    count = 50_000
    data = b"id,text\n" + b"A,caf\xe9 cr\xe8me\n" * count
    _, totals = split(data, plan_for())
    assert (totals.rows, totals.rejected) == (count, count)


@pytest.mark.spec("M11")
def test_a_row_without_a_usable_identifier_is_rejected_as_a_row() -> None:
    data = 'id,text\n,x\n" \xa0\ufeff",x\n"a\x02b",x\nA,x\n'.encode()
    assert [(one.line, one.column, one.reason) for one, _ in rejects(data, plan_for())] == [
        (2, None, Reason.NO_IDENTIFIER),
        (3, None, Reason.NO_IDENTIFIER),
        (4, None, Reason.INVALID_IDENTIFIER),
    ]


@pytest.mark.spec("M11")
def test_a_profile_identifier_is_32_hexadecimal_characters_or_the_row_is_rejected() -> None:
    plan = plan_for().model_copy(update={"links": (PlannedLink(column="id", property="profile_identifier"),)})
    good = "0123456789abcdefABCDEF9876543210"
    nobody = "0" * 32  # what stands where a profile was erased
    data = f"id,text\n{good},x\n {good} ,y\n{good[1:]},x\n{good[1:]}g,x\n,x\n{nobody},x\n".encode()
    batches, _ = split(data, plan)
    assert [row["address"] for batch in batches for row in batch.rows.to_pylist()] == [bytes.fromhex(good)] * 2
    assert [(one.line, one.reason) for one, _ in rejects(data, plan)] == [
        (4, Reason.INVALID_IDENTIFIER),
        (5, Reason.INVALID_IDENTIFIER),
        (6, Reason.NO_IDENTIFIER),
        (7, Reason.INVALID_IDENTIFIER),
    ]


def test_an_error_is_a_terminal_one() -> None:
    """So that the import is closed FAILED and the domain goes on."""
    assert issubclass(HeaderError, TerminalError)
