"""SPEC B2, writing: what a rejects file holds, byte for byte, and what it takes to write it."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator

import pytest

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.errors import TerminalError
from headrace.outcomes import MESSAGES, Outcomes, Reason
from object_store.access import connect
from object_store.store import ObjectStore
from profile_store.registration import Registration
from streaming.importing.await_outcomes import await_outcomes
from streaming.importing.close import COMPLETE, FAILED, ImportResult, close_import
from streaming.importing.publish import publish_rows
from streaming.importing.register import register_import
from streaming.importing.reject_lines import CODE, COLUMN, LINE, MESSAGE, OFFSET, OWN_COLUMNS, RAW
from streaming.importing.write_rejects import write_rejects
from tests.memory import peak_memory
from tests.running import COLUMNS, Running, Work, csv_of, running

pytestmark = pytest.mark.spec("B2")


@pytest.fixture(scope="module")
def headrace(valkey_server: ValkeyServer, apache_kafka: str, s3_server: S3Server) -> Iterator[Running]:
    with running(valkey_server, apache_kafka, s3_server) as made:
        yield made


def lines(work: Work, separator: str = ",") -> list[str]:
    """A file with every kind of line; the line ends are put in between."""
    s = separator
    return [
        s.join(COLUMNS),
        f'{work.name}-1{s}"Ana{{}}María ""Mia"""{s}1{s}x{s}2026-01-31',
        f'{work.name}-2{s}"two{{}}lines{s}"{s}none{s}x{s}2026-02-30',
        "",
        f"{work.name}-3{s}ümläut{s}1{s}x{s}never",
        f"{s}no id{s}1{s}x{s}",
        f"{work.name}-4{s}too{s}few",
        f'{work.name}-5{s}"open quote{s}1',
        f"{work.name}-6{s}Zoë{s}2{s}x/y{s}2026-01-01",
        f'{work.name}-7{s}"closed" badly{s}1{s}{s}',
        f"{work.name}-8{s}last{s}1,5{s}{s}" if s != "," else f"{work.name}-8{s}last{s}1.5.0{s}{s}",
    ]


EXPECTED = [
    (4, 2, "total", Reason.NOT_A_NUMBER),
    (4, 2, "day", Reason.NOT_A_DATE),
    (7, 4, "day", Reason.NOT_A_DATE),
    (8, 5, "", Reason.NO_IDENTIFIER),
    (9, 6, "", Reason.WRONG_COLUMN_COUNT),
    (10, 7, "", Reason.BAD_QUOTE),
    (12, 9, "", Reason.BAD_QUOTE),
    (13, 10, "total", Reason.NOT_A_NUMBER),
]
"""Line, index into `lines`, column, reason; in file order, the cells of a row in the order of the mappings."""


@pytest.mark.parametrize(
    ("encoding", "line_end", "separator", "packed"),
    [
        ("utf-8", "\n", ",", False),
        ("utf-8", "\r\n", ",", False),
        ("utf-8-sig", "\r\n", ";", True),
        ("cp1252", "\r\n", "§", False),
        ("utf-16", "\n", "|", True),
        ("utf-8", "\n", "¦", False),
    ],
)
def test_a_reject_says_where_and_why_and_shows_the_row(
    headrace: Running, encoding: str, line_end: str, separator: str, packed: bool
) -> None:
    declared = "utf-8" if encoding == "utf-8-sig" else encoding
    work = headrace.work(format={"encoding": declared, "separator": separator, "multi_value": "/"})
    texts = [line.replace("{}", line_end) for line in lines(work, separator)]
    data = line_end.join(texts).encode(encoding)
    result = work.load(gzip.compress(data) if packed else data)
    assert (result.state, result.outcomes.rejected, result.outcomes.cells) == (COMPLETE, 4, 4)
    header, rows = work.rejects(result)
    assert header == [*OWN_COLUMNS, *COLUMNS]
    bare = "utf-16-le" if encoding == "utf-16" else declared
    starts, place = [], len(data) - len(line_end.join(texts).encode(bare))
    for text in texts:
        starts.append(place)
        place += len((text + line_end).encode(bare))
    seen = [(int(row[LINE]), row[COLUMN], Reason(row[CODE])) for row in rows]
    assert seen == [(line, column, reason) for line, _, column, reason in EXPECTED]
    for row, (_, index, _, reason) in zip(rows, EXPECTED, strict=True):
        assert int(row[OFFSET]) == starts[index]
        assert data[int(row[OFFSET]) :].startswith(texts[index].encode(bare))
        assert row[MESSAGE] == MESSAGES[reason]
        cells = next(csv.reader(io.StringIO(texts[index], newline=""), delimiter=separator))
        readable = reason not in (Reason.WRONG_COLUMN_COUNT, Reason.BAD_QUOTE)
        assert row[RAW:] == (["", *cells] if readable else [texts[index], *[""] * len(COLUMNS)])


def test_rows_that_are_no_text_are_shown_as_far_as_they_can_be(headrace: Running) -> None:
    work = headrace.work()
    head = ",".join(COLUMNS).encode() + b"\n"
    rows = [b"a,caf\xe9,,,", b"b,nul\0,,,", b"c,lone\rreturn,,,", b"d" * 600_000, b'"' + b"e" * 100]
    result = work.load(head + b"\n".join(rows))
    found = work.rejects(result)[1]
    assert [row[CODE] for row in found] == ["BAD_ENCODING", "NUL_BYTE", "BAD_LINE_END", "ROW_TOO_LONG", "UNCLOSED_QUOTE"]
    assert [row[RAW] for row in found] == ["a,caf\\xe9,,,", "b,nul\\x00,,,", "c,lone\rreturn,,,", "d" * 65_536, '"' + "e" * 100]
    assert [int(row[OFFSET]) for row in found] == [len(head + b"\n".join(rows[:n])) + (n > 0) for n in range(5)]


def test_a_rejects_file_is_itself_well_formed_for_headrace(headrace: Running) -> None:
    """Whatever stood in the cells: it is read back with the goal's own format, row by row (replay needs that)."""
    work = headrace.work()
    nasty = ['"a\rb"', '"a\r\nb"', '"a""b"', '"a,b"', '" "', "é\u2028"]
    result = work.load("\n".join([",".join(COLUMNS), *(f"{work.name}-{n},{cell},x,," for n, cell in enumerate(nasty))]).encode())
    assert result.outcomes.cells == len(nasty)
    data = work.read(str(result.rejects_key))
    again = headrace.work()
    loaded = again.load(data, "rejects.csv")
    assert (loaded.outcomes.rejected, loaded.outcomes.rows) == (0, len(nasty))
    original = [next(csv.reader(io.StringIO(cell, newline="")))[0] for cell in nasty]
    assert [row[len(OWN_COLUMNS) + 1] for row in work.rejects(result)[1]] == original


def test_no_rejects_no_object(headrace: Running) -> None:
    work = headrace.work()
    result = work.load(f"{','.join(COLUMNS)}\n{work.name}-1,Ana,1,,\n".encode())
    assert result.rejects_key is None
    assert work.own_keys() == []


def test_a_rejects_file_lies_beside_its_file_and_tells_imports_apart(headrace: Running) -> None:
    work = headrace.work(source={"bucket": headrace.bucket, "directory": f"{headrace.domain['name']}-deep/", "files": "**/*.csv"})
    head = ",".join(COLUMNS)
    for name in ("one/customers.v1.csv", "two/customers.v1.csv"):
        work.put(name, f"{head}\n,no id,,,\n".encode())
    results = work.run()
    goal = work.connection.import_goals[0].id
    places = [str(result.rejects_key).removeprefix(work.directory) for result in results]
    assert places == [
        f"{directory}/_headrace/rejects/{goal}/{result.registration.import_seq}-customers.csv"
        for directory, result in zip(("one", "two"), results, strict=True)
    ]
    assert set(work.statuses()) == {"one/customers.v1.csv", "two/customers.v1.csv"}


def rejected(headrace: Running, data: bytes) -> tuple[Work, Registration, Outcomes]:
    """An import whose rows are all counted, before its rejects are written."""
    work, real = headrace.work(on_bad_cell="reject_row"), headrace.pipeline
    work.put("a.csv", data)
    [scanned] = work.scan()
    registration = register_import(real.context, work.connection, work.connection.import_goals[0], scanned.version, "run")
    return work, registration, await_outcomes(real.context, registration, publish_rows(real.context, registration))


def test_a_rerun_of_the_step_replaces_the_object(headrace: Running) -> None:
    real = headrace.pipeline
    work, registration, outcomes = rejected(headrace, f"{','.join(COLUMNS)}\n,no id,,,\nC1,x,n/a,,\n".encode())
    written = write_rejects(real.context, registration, outcomes.rejected + outcomes.cells)
    first = work.read(str(written.key))
    connect(real.access, 1).put_object(Bucket=work.bucket, Key=str(written.key), Body=b"half of what was written before a crash")
    assert write_rejects(real.context, registration, outcomes.rejected + outcomes.cells) == written
    assert work.read(str(written.key)) == first
    close_import(real.context, ImportResult(registration, COMPLETE, outcomes, written.key))


ROWS = 200_000


def test_a_file_whose_every_row_is_rejected_takes_bounded_memory(headrace: Running) -> None:
    """100,000 rows by the splitter, as many by the workers, in turns: they come out in file order."""
    real = headrace.pipeline
    body = "".join(f"C{n},x,n/a,,\n,x,1,,\n" for n in range(ROWS // 2))
    work, registration, outcomes = rejected(headrace, f"{','.join(COLUMNS)}\n{body}".encode())
    assert (outcomes.rejected, outcomes.rows, outcomes.cells) == (ROWS, ROWS, ROWS // 2)
    with peak_memory() as peak:
        written = write_rejects(real.context, registration, outcomes.rejected + outcomes.cells)
    assert written.rows + written.cells == ROWS
    assert peak.grown < 150 * 1024 * 1024
    offsets = [int(line.split(b",", 3)[OFFSET]) for line in work.read(str(written.key)).splitlines()[1:]]
    assert len(offsets) == ROWS
    assert offsets == sorted(set(offsets))
    close_import(real.context, ImportResult(registration, COMPLETE, outcomes, written.key))
    assert [one for one in work.own_keys() if "pinned" in one] == []


@pytest.mark.spec("I10", "B2")
def test_rejects_that_cannot_be_written_do_not_make_a_complete_import_fail(headrace: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the next run would apply every row again."""

    def denied(*_: object) -> None:
        raise TerminalError("Writing is not allowed.", code="ACCESS_DENIED")

    work = headrace.work()
    work.put("a.csv", csv_of(work.row(1, "Ana", "1"), work.row(2, "Bea", "one")))
    monkeypatch.setattr(ObjectStore, "open_write", denied)
    [result] = work.run()
    assert (result.state, result.rejects_key, result.outcomes.cells) == (COMPLETE, None, 1)
    assert "ACCESS_DENIED" in result.reason
    assert work.run() == []
    assert work.profiles()["1"]["total"] == "1"


@pytest.mark.spec("I10")
def test_a_damaged_file_is_not_applied_again_until_it_is_replaced(headrace: Running) -> None:
    work = headrace.work()
    whole = gzip.compress(csv_of(*(work.row(number, f"N{number}", "1") for number in range(60_000))))
    work.put("a.csv.gz", whole[:-4_000])
    [failed] = work.run()
    assert (failed.state, failed.reason[:9]) == (FAILED, "TRUNCATED")
    if failed.outcomes.rows:
        assert work.statuses() == {"a.csv.gz": "damaged"}
        assert work.run() == []
    else:  # nothing was applied before the end was reached: reading it again does no harm
        assert work.statuses() == {"a.csv.gz": "failed"}
    work.put("a.csv.gz", whole)
    assert [one.state for one in work.run()] == [COMPLETE]
