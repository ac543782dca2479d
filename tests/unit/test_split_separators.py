"""Any single character separates fields (SPEC I6)."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.outcomes import Reason
from streaming.split.separator import STAND_IN, Separator
from tests.splitting import cells, plan_for, rejects

SEPARATORS = [",", ";", "|", "\t", " ", "a", "'", "\\", "~", "\x1d", "\x01", "§", "¦", "…", "·", "é", "\u2028", "\ufeff", "🂡"]
TEXTS = st.text(st.sampled_from(list('xy",;"\n\r §¦…\x1d\x01a🂡\u0301')), max_size=6)


@settings(max_examples=150)
@given(st.lists(st.lists(TEXTS, min_size=3, max_size=3), max_size=8), st.sampled_from(SEPARATORS), st.booleans(), st.integers(1, 40))
@example([["§", "\x1d", '"§\x1d\n"']], "§", False, 1)
@pytest.mark.spec("I6")
def test_what_csv_writes_with_any_separator_is_read_back(table: list[list[str]], separator: str, quote_all: bool, chunk: int) -> None:
    if not quote_all:  # Python 3.11 leaves a lone carriage return unquoted
        table = [[cell.replace("\r", "x") for cell in row] for row in table]
    table = [[f"{place}", *row] for place, row in enumerate(table)]
    columns = ("id", "u", "v", "w")
    out = io.StringIO(newline="")
    kind = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    csv.writer(out, delimiter=separator, lineterminator="\n", quoting=kind).writerows([columns, *table])  # type: ignore[arg-type]
    data = out.getvalue().encode()
    plan = plan_for(columns, separator=separator)
    if data.startswith(b"\xef\xbb\xbf"):
        return
    assert rejects(data, plan, chunk) == []
    assert cells(data, plan, chunk) == table


@pytest.mark.spec("I6")
@pytest.mark.parametrize("separator", SEPARATORS)
def test_another_separator_is_text_and_the_names_of_columns_are_separated_too(separator: str) -> None:
    plain = "1,2;3|4".replace(separator, "")
    data = f'x{separator}"a{separator}b"{separator}id\n{plain}{separator}"§{separator}¦"{separator}C1\n'.encode()
    assert cells(data, plan_for(("id", "x", f"a{separator}b"), separator=separator)) == [["C1", plain, f"§{separator}¦"]]


@pytest.mark.spec("I6", "B2")
def test_the_stand_in_of_a_separator_is_text_where_a_file_holds_it_and_rows_keep_their_bytes() -> None:
    data = f"id§text\nA§x{STAND_IN}y\nB{STAND_IN}x\nC§x§y\n\xff".encode("latin-1").replace(b"\xa7", "§".encode())
    plan = plan_for(separator="§")
    assert cells(data, plan) == [["A", f"x{STAND_IN}y"]]
    found = rejects(data, plan)
    assert [(one.line, one.reason) for one, _ in found] == [
        (3, Reason.WRONG_COLUMN_COUNT),
        (4, Reason.WRONG_COLUMN_COUNT),
        (5, Reason.BAD_ENCODING),
    ]
    for reject, raw in found:
        assert data[reject.offset :].startswith(raw)
        assert raw


@settings(max_examples=150)
@given(
    st.lists(st.sampled_from([b"\xc2", b"\xa7", b"\x1d", "§".encode(), b"a", "…".encode(), b"\xe2", b"\x80", b"\xa6"])).map(b"".join),
    st.integers(1, 9),
)
@pytest.mark.parametrize("character", ["§", "…"])
@pytest.mark.spec("I6")
def test_trading_twice_gives_any_bytes_back_in_any_chunking(character: str, data: bytes, chunk: int) -> None:
    separator, source = Separator(character), io.BytesIO(data)
    assert separator.traded(separator.traded(data)) == data
    read = separator.trading(lambda _: source.read(chunk))
    assert b"".join(iter(lambda: read(10), b"")) == separator.traded(data)
