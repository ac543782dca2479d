"""A file in any encoding is read as its text, and a row's offset is that of the file's own bytes."""

from __future__ import annotations

import codecs
import csv
import encodings.aliases
import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import TerminalError, UnsupportedFormatError
from headrace.outcomes import Reason
from streaming.split import rows as rows_module
from tests.splitting import cells, plan_for, rejects, split

TEXT = 'id,text\r\nA,"crème\nbrûlée"\r\nB\r\nC,x\n\nD,ü,y\nE,"ÿ"'
MARKED = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE, "utf-32-be": codecs.BOM_UTF32_BE}


def all_encodings() -> list[str]:
    """Those that Python has on every system, but for what is not between text and bytes."""
    names = {codecs.lookup(name).name for name in encodings.aliases.aliases.values() if name not in ("mbcs", "oem")}
    found = []
    for name in sorted(names):
        try:
            "\n".encode(name)
        except (LookupError, UnicodeError):
            continue
        found.append(name)
    return found


STATEFUL = [name for name in all_encodings() if name.startswith(("iso2022", "hz", "utf-7"))]


@pytest.mark.spec("I11", "B2")
@pytest.mark.parametrize("chunk", [1, 3, 1000])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "iso8859-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be", "cp500", "mac-roman"]
)
@pytest.mark.parametrize("mark", ["with", "without"])
def test_text_and_offsets_in_other_encodings(encoding: str, mark: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "CHUNK_BYTES", 16)
    data = (MARKED.get(encoding, b"") if mark == "with" else b"") + TEXT.encode(encoding)
    plan = plan_for(encoding=encoding)
    assert cells(data, plan, chunk) == [["A", "crème\nbrûlée"], ["C", "x"], ["E", "ÿ"]]
    bare = encoding + {"utf-16": "-le", "utf-32": "-le"}.get(encoding, "")
    refused = rejects(data, plan, chunk)
    assert [(one.line, raw.decode()) for one, raw in refused] == [(4, "B"), (7, "D,ü,y")]
    offsets = [one.offset for one, _ in refused] + [
        row["offset"] for batch in split(data, plan, chunk)[0] for row in batch.rows.to_pylist()
    ]
    for offset, start in zip(offsets, ("B\r", "D,", 'A,"', "C,", 'E,"'), strict=True):
        assert data[offset:].startswith(start.encode(bare))


@pytest.mark.spec("I11", "B2")
@pytest.mark.parametrize("encoding", [name for name in all_encodings() if name not in STATEFUL])
def test_a_line_begins_where_the_file_says_in_every_encoding_and_whatever_is_wrong_in_it(encoding: str) -> None:
    """Random bytes with the encoding's line ends: each one of the file is one of the text."""
    rnd = random.Random(1)
    wide = 2 if encoding.startswith("utf-16") else 4 if encoding.startswith("utf-32") else 1
    newline = "\n".encode(encoding)[-wide:]
    header = "id\n".encode(encoding)
    for _ in range(15):
        body = b"".join(newline if rnd.random() < 0.3 else rnd.choice([b"\x81", b"\xff", b"0", rnd.randbytes(1)]) * wide for _ in range(30))
        data = header + body + newline + "E,EE\n".encode(encoding)[-5 * wide :]
        last, _ = rejects(data, plan_for(("id",), encoding=encoding), rnd.randint(1, 9))[-1]
        starts = [place + wide for place in range(0, len(data) - wide, wide) if data[place : place + wide] == newline]
        if last.reason is Reason.WRONG_COLUMN_COUNT:
            assert (last.line, last.offset) == (len(starts) + 1, starts[-1])


@pytest.mark.spec("I11")
@pytest.mark.parametrize("encoding", STATEFUL)
def test_an_encoding_with_a_state_is_refused(encoding: str) -> None:
    with pytest.raises(UnsupportedFormatError, match="keeps state"):
        split(b"id,text\n", plan_for(encoding=encoding))


@pytest.mark.spec("I11")
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_file_without_the_mark_that_its_encoding_needs_is_told(encoding: str) -> None:
    with pytest.raises(TerminalError, match=f"in/a.csv, line 1, byte 0: this is not {encoding}") as caught:
        split("id,text\nA,x\n".encode(f"{encoding}-le"), plan_for(encoding=encoding))
    assert caught.value.code == "BAD_ENCODING"


@pytest.mark.spec("I11", "M11")
@pytest.mark.parametrize(
    ("encoding", "bad"),
    [("ascii", b"\xff"), ("utf-16-le", b"\x00\xd8"), ("cp1252", b"\x81"), ("shift_jis", b"\x81"), ("gb18030", b"\xff7")],
)
def test_what_the_encoding_does_not_have_costs_its_row_alone(encoding: str, bad: bytes) -> None:
    data = "id,text\nA,".encode(encoding) + bad + "\nB,x\n".encode(encoding)
    plan = plan_for(encoding=encoding)
    assert cells(data, plan) == [["B", "x"]]
    [(reject, _)] = rejects(data, plan)
    assert (reject.line, reject.reason, reject.offset) == (2, Reason.BAD_ENCODING, len("id,text\n".encode(encoding)))


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.text(st.sampled_from(list('ab§,"\n\r é\x1d')), max_size=5), min_size=2, max_size=2), max_size=8),
    st.sampled_from(["utf-8", "utf-8-sig", "iso8859-1", "cp1252", "utf-16", "utf-16-be", "utf-32"]),
    st.sampled_from([",", ";", "§", "é"]),
    st.integers(1, 30),
)
@pytest.mark.spec("I6", "I11", "B2")
def test_whatever_csv_writes_is_read_back_in_any_encoding_and_separator_with_the_files_offsets(
    table: list[list[str]], encoding: str, separator: str, chunk: int
) -> None:
    table = [[f"n{place}", *row] for place, row in enumerate(table)]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([["id", "text", "more"], *table])
    data = out.getvalue().encode(encoding)
    plan = plan_for(("id", "text", "more"), encoding=encoding, separator=separator)
    rows = [row for batch in split(data, plan, chunk)[0] for row in batch.rows.to_pylist()]
    assert [[row["0"], row["1"], row["2"]] for row in rows] == table
    bare = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(encoding, encoding)
    for row in rows:
        assert data[row["offset"] :].decode(bare).startswith(f'"{row["0"]}"')
