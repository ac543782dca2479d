"""SPEC B2, replaying: a corrected file of rejects gives what the corrected rows would have given, once."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.address import address_of
from headrace.errors import TerminalError
from profile_store import sequence
from streaming.importing.await_turn import finish
from streaming.importing.close import COMPLETE
from streaming.importing.context import ImportEndedError
from streaming.importing.erase import register_erasure
from streaming.importing.publish import open_rows
from streaming.importing.reject_lines import OWN_COLUMNS
from streaming.importing.replay import register_replay
from tasks.replay_report import ReplayReport
from tests.corrected import Correct, Line, corrected, history, replay, with_cells
from tests.running import COLUMNS, Running, Work, csv_of, running

pytestmark = pytest.mark.spec("B2")


@pytest.fixture(scope="module")
def headrace(valkey_server: ValkeyServer, apache_kafka: str, s3_server: S3Server) -> Iterator[Running]:
    with running(valkey_server, apache_kafka, s3_server) as made:
        yield made


def give_back(work: Work, rejects_key: str | None, correct: Correct) -> ReplayReport:
    data = corrected(work.read(str(rejects_key)), correct, work.goal["format"].get("separator", ","))
    return replay(work.running.pipeline.context, work.connection, data)


def summary(report: ReplayReport) -> tuple[int, int, int, int, int]:
    return report.lines, report.replayed, report.again, report.repeated, report.left


def mixed(work: Work) -> bytes:
    """A good row, one with two bad cells, one with a bad cell of a customer that has a good row as well, and two that are no rows."""
    return (
        csv_of(
            work.row(1, "Ana", "1", "x", "2026-01-01"),
            work.row(2, "Bea", "one", "x", "never"),
            work.row(1, "Ana", "2,5", "y", "2026-01-02"),
            ("", "Nobody", "3", "z", "2026-01-03"),
        )
        + f"{work.name}-3,too,few\n".encode()
    )


def put_right(line: Line, name: str) -> Line:
    cells = {"total": {"one": "10", "2,5": "2.5"}.get(line["total"], line["total"]), "day": line["day"].replace("never", "2026-02-02")}
    if line["_headrace_raw"]:
        return {**line, "_headrace_raw": f"{name}-3,Cleo,4,x|y,2026-03-03"}
    return {**line, **cells, "id": line["id"] or f"{name}-4"}


def test_corrected_rejects_give_what_a_corrected_file_gives(headrace: Running) -> None:
    work = headrace.work()
    result = work.load(mixed(work))
    assert (result.outcomes.rejected, result.outcomes.cells) == (2, 3)
    report = give_back(work, result.rejects_key, lambda line: put_right(line, work.name))
    assert summary(report) == (5, 5, 0, 0, 0)
    whole = headrace.work()
    whole.load(
        csv_of(
            whole.row(1, "Ana", "1", "x", "2026-01-01"),
            whole.row(2, "Bea", "10", "x", "2026-02-02"),
            whole.row(1, "Ana", "2.5", "y", "2026-01-02"),
            whole.row(4, "Nobody", "3", "z", "2026-01-03"),
            whole.row(3, "Cleo", "4", "x|y", "2026-03-03"),
        )
    )
    expected = {name: {**one, "customer_id": f"{work.name}-{name}"} for name, one in whole.profiles().items()}
    assert work.profiles() == expected


@pytest.mark.spec("R1")
def test_no_reject_is_replayed_twice_and_what_is_left_is_counted_against_the_first_run(headrace: Running) -> None:
    work, context = headrace.work(), headrace.pipeline.context
    result = work.load(mixed(work))
    first = give_back(work, result.rejects_key, lambda line: put_right(line, work.name) if line["_headrace_column"] == "total" else None)
    assert summary(first) == (2, 2, 0, 0, 0)
    found = history(context, work.connection)
    assert (found.import_seq, found.counts.replayed, found.left) == (result.registration.import_seq, 2, 3)
    last = sequence.last_number(context.store, headrace.domain["name"])
    again = give_back(work, result.rejects_key, lambda line: put_right(line, work.name) if line["_headrace_column"] == "total" else None)
    assert summary(again) == (2, 0, 0, 2, 0)
    assert sequence.last_number(context.store, headrace.domain["name"]) == last, "what was replayed takes no number"
    overlapping = give_back(work, result.rejects_key, lambda line: put_right(line, work.name))
    assert summary(overlapping) == (5, 3, 0, 2, 0)
    assert work.profiles()["1"]["total"] == "3.5"
    assert work.profiles()["2"]["total"] == "10"
    found = history(context, work.connection)
    assert (found.counts.replayed, found.left) == (5, 0)


def test_of_two_overlapping_files_that_wait_for_their_turns_the_first_takes_the_line(headrace: Running) -> None:
    work, context = headrace.work(), headrace.pipeline.context
    result = work.load(csv_of(work.row(1, "Ana", "one"), work.row(2, "Bea", "two"), work.row(3, "Cleo", "three")))
    data = work.read(str(result.rejects_key))
    files = [
        corrected(data, lambda line: {**line, "total": "5"} if line["total"] != "three" else None),
        corrected(data, lambda line: {**line, "total": "7"} if line["total"] != "one" else None),
    ]
    registered = [register_replay(context, work.connection, io.BytesIO(one), "corrected.csv", "run") for one in files]
    [(first, _)], [(second, _)] = [one.registrations for one in registered]
    assert first.import_seq < second.import_seq
    assert finish(context, second, "run").outcomes.updated == 1
    assert finish(context, first, "run").outcomes.updated == 2
    assert {name: one["total"] for name, one in work.profiles().items()} == {"1": "5", "2": "5", "3": "7"}
    with open_rows(context, first) as stream:
        assert stream.read(1), "the header"
        with pytest.raises(ImportEndedError):  # whoever comes late takes nothing
            stream.read(1)
    assert history(context, work.connection).left == 0


def test_a_cell_of_a_profile_that_was_erased_since_makes_none(headrace: Running) -> None:
    work, context = headrace.work(), headrace.pipeline.context
    result = work.load(csv_of(work.row(1, "Ana", "one")))
    plan, at_home = result.registration.needed_plan, work.read(str(result.rejects_key))
    erasure = register_erasure(context, plan.domain, address_of(plan.key, "customer_id", f"{work.name}-1"), suppress=False)
    assert finish(context, erasure, "run").outcomes.updated == 1
    report = replay(context, work.connection, corrected(at_home, with_cells(total="5")))
    assert summary(report) == (1, 0, 0, 1, 0)
    assert work.profiles() == {}


def test_a_line_that_stands_twice_in_the_file_is_replayed_once(headrace: Running) -> None:
    work = headrace.work()
    result = work.load(csv_of(work.row(1, "Ana", "one")))
    data = corrected(work.read(str(result.rejects_key)), with_cells(total="5"))
    doubled = data + data.split(b"\r\n", 1)[1]
    assert summary(replay(headrace.pipeline.context, work.connection, doubled)) == (2, 1, 0, 1, 0)
    assert work.profiles()["1"]["total"] == "5"


def test_what_is_rejected_again_stays_replayable_from_either_file(headrace: Running) -> None:
    work, context = headrace.work(), headrace.pipeline.context
    result = work.load(csv_of(work.row(1, "Ana", "one"), work.row(2, "Bea", "two"), ("", "Cleo", "3")))
    wrong = give_back(work, result.rejects_key, with_cells(total="still wrong"))
    assert summary(wrong) == (3, 0, 3, 0, 0)
    keys = [part.rejects_key for part in wrong.parts]
    rows_key, cells_key = keys if wrong.parts[0].of_rows else reversed(keys)
    assert [line[1:5] for line in work.lines(str(cells_key))] == [line[1:5] for line in work.lines(str(result.rejects_key))[:2]]
    assert history(context, work.connection).left == 3
    assert summary(give_back(work, cells_key, with_cells(total="5"))) == (2, 2, 0, 0, 0)
    right = give_back(work, result.rejects_key, with_cells(id=f"{work.name}-3", total="7"))
    assert summary(right) == (3, 1, 0, 2, 0)
    assert summary(give_back(work, rows_key, with_cells(id=f"{work.name}-9", total="7"))) == (1, 0, 0, 1, 0)
    assert {name: one["total"] for name, one in work.profiles().items()} == {"1": "5", "2": "5", "3": "7"}
    assert history(context, work.connection).left == 0


def test_a_cell_that_is_rejected_of_a_replayed_row_can_be_replayed_too(headrace: Running) -> None:
    work, context = headrace.work(), headrace.pipeline.context
    result = work.load(csv_of(("", "Ana", "one", "x")))
    first = give_back(work, result.rejects_key, with_cells(id=f"{work.name}-1"))
    assert (first.replayed, first.again, first.parts[0].outcomes.cells) == (1, 0, 1)
    assert history(context, work.connection).left == 1
    assert work.profiles()["1"] == {"customer_id": f"{work.name}-1", "name": "Ana", "tags": ("x",)}
    assert summary(give_back(work, first.parts[0].rejects_key, with_cells(total="2", name="other"))) == (1, 1, 0, 0, 0)
    assert work.profiles()["1"] == {"customer_id": f"{work.name}-1", "name": "Ana", "tags": ("x",), "total": "2"}
    assert history(context, work.connection).left == 0


def test_a_cell_is_replayed_alone_and_makes_no_profile(headrace: Running) -> None:
    """For the row's own profile, whatever the other cells of the line say by now."""
    work = headrace.work()
    result = work.load(csv_of(work.row(1, "Ana", "one", "x", "2026-01-01"), work.row(2, "Bea", "two")))
    report = give_back(work, result.rejects_key, lambda line: {**line, "id": f"{work.name}-9", "name": "Zoe", "total": "5", "tags": "q"})
    assert summary(report) == (2, 2, 0, 0, 0)
    assert work.profiles() == {
        "1": {"customer_id": f"{work.name}-1", "name": "Ana", "total": "5", "tags": ("x",), "day": "2026-01-01"},
        "2": {"customer_id": f"{work.name}-2", "name": "Bea", "total": "5"},
    }


def test_a_cell_of_a_row_that_was_skipped_is_skipped(headrace: Running) -> None:
    work = headrace.work(allow_creation=False)
    result = work.load(csv_of(work.row(1, "Ana", "one")))
    assert (result.outcomes.skipped, result.outcomes.cells) == (1, 1)
    report = give_back(work, result.rejects_key, with_cells(total="5"))
    assert (report.replayed, report.parts[0].outcomes.skipped) == (1, 1)
    assert work.profiles() == {}


@pytest.mark.spec("M11")
def test_a_row_that_a_cell_cost_is_replayed_as_a_row(headrace: Running) -> None:
    work = headrace.work(on_bad_cell="reject_row")
    result = work.load(csv_of(work.row(1, "Ana", "one", "x", "never"), work.row(2, "Bea", "1")))
    assert (result.outcomes.rejected, result.outcomes.cells) == (1, 2)
    [line] = work.lines(str(result.rejects_key))
    assert line[3:5] == ["total; day", "NOT_A_NUMBER; NOT_A_DATE"]
    assert summary(give_back(work, result.rejects_key, with_cells(total="4"))) == (1, 0, 1, 0, 0)
    assert summary(give_back(work, result.rejects_key, with_cells(total="4", day="2026-05-05"))) == (1, 1, 0, 0, 0)
    assert work.profiles()["1"] == {"customer_id": f"{work.name}-1", "name": "Ana", "total": "4", "tags": ("x",), "day": "2026-05-05"}
    assert history(headrace.pipeline.context, work.connection).left == 0


def test_a_column_that_two_properties_take_is_replayed_for_the_one_that_rejected_it(headrace: Running) -> None:
    both = [{"column": "total", "property": "name"}, {"column": "total", "property": "total", "rule": "sum"}]
    work = headrace.work(mappings=[*both, {"column": "tags", "property": "tags", "rule": "add"}])
    result = work.load(csv_of(work.row(1, "", "one", "x")))
    assert summary(give_back(work, result.rejects_key, with_cells(total="6"))) == (1, 1, 0, 0, 0)
    assert work.profiles()["1"] == {"customer_id": f"{work.name}-1", "name": "one", "total": "6", "tags": ("x",)}


@pytest.mark.spec("M4")
def test_a_cell_that_is_corrected_to_nothing_clears_where_the_mapping_says_so(headrace: Running) -> None:
    work = headrace.work(mappings=[{"column": "name", "property": "name"}, {"column": "day", "property": "day", "blank": "clear"}])
    work.load(csv_of(work.row(1, "Ana", "", "", "2026-01-01"), work.row(2, "Bea", "", "", "2026-01-01")))
    result = work.load(csv_of(work.row(1, "Ana", "", "", "never"), work.row(2, "Bea", "", "", "2026-30-30")), "b.csv")
    report = give_back(work, result.rejects_key, lambda line: {**line, "day": "" if line["day"] == "never" else "2026-03-03"})
    assert summary(report) == (2, 2, 0, 0, 0)
    assert work.profiles()["1"] == {"customer_id": f"{work.name}-1", "name": "Ana"}
    assert work.profiles()["2"]["day"] == "2026-03-03"


def test_a_spreadsheets_way_of_writing_is_read(headrace: Running) -> None:
    """Another separator, a byte order mark, quotes everywhere or nowhere, blank cells at the end left out, empty lines."""
    work = headrace.work()
    result = work.load(csv_of(work.row(1, 'A; "B"', "one", "", ""), work.row(2, "zwei\nZeilen", "two")))
    lines = work.lines(str(result.rejects_key), header=True)
    for line in lines[1:]:
        line[lines[0].index("total")] = "5"
    quoted = ["\ufeff" + ";".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in line).rstrip('";') + '"' for line in lines]
    text = "\r\n".join([quoted[0], *(line.removeprefix("\ufeff") for line in quoted[1:]), ";" * 11, ""])
    assert summary(replay(headrace.pipeline.context, work.connection, text.encode())) == (2, 2, 0, 0, 0)
    assert [one["total"] for one in work.profiles().values()] == ["5", "5"]


def test_rows_that_could_not_be_cut_are_replayed_from_their_text(headrace: Running) -> None:
    work = headrace.work(format={"separator": ";", "multi_value": "|"})
    head = ";".join(COLUMNS).encode()
    bad = [
        b'%s-1;"closed" badly;1;;',
        b"%s-2;caf\xe9;2;;",
        b"%s-3;nul \0;3;;",
        b"%s-4;lone\rreturn;4;;",
        b"%s-5;few",
        b"%s-6;" + b"x" * 600_000 + b";6;;",
    ]
    result = work.load(b"\n".join([head, *(row.replace(b"%s", work.name.encode()) for row in bad)]))
    assert result.outcomes.rejected == 6
    untouched = give_back(work, result.rejects_key, lambda line: line)
    assert summary(untouched) == (6, 0, 0, 0, 6)
    assert {one.code for one in untouched.problems} == {"NOT_CORRECTED"}
    assert work.profiles() == {}

    def correct(line: Line) -> Line:
        text = line["_headrace_raw"]
        if len(text) > 60_000:
            return {**line, "_headrace_raw": "", "id": f"{work.name}-6", "name": "short", "total": "6"}
        changes = {'"closed" badly': '"closed"" badly"', "\\xe9": "é", "nul \\x00": "none", "\r": " ", ";few": ";few;5;;"}
        for wrong, right in changes.items():
            text = text.replace(wrong, right)
        return {**line, "_headrace_raw": text}

    assert summary(give_back(work, result.rejects_key, correct)) == (6, 6, 0, 0, 0)
    names = {name: one["name"] for name, one in work.profiles().items()}
    assert names == {"1": 'closed" badly', "2": "café", "3": "none", "4": "lone return", "5": "few", "6": "short"}


def test_lines_that_can_not_be_replayed_are_left_with_line_and_reason(headrace: Running) -> None:
    work, other = headrace.work(), headrace.work()
    result = work.load(
        csv_of(work.row(1, "Ana", "one"), work.row(2, "Bea", "two"), work.row(3, "Cleo", "three"), work.row(4, "Dora", "four"))
    )
    foreign = other.load(csv_of(other.row(1, "Ana", "one")))
    lines = work.lines(str(result.rejects_key), header=True)
    place = lines[0].index("total")
    for line in lines[1:]:
        line[place] = "5"
    named = lines[2][0]
    lines[2][0] = named.replace(":3:", ":33:")
    lines[3][0] = "a name that somebody typed"
    lines[4] = other.lines(str(foreign.rejects_key))[0]
    report = replay(headrace.pipeline.context, work.connection, csv_of(*map(tuple, lines[1:]), columns=tuple(lines[0])))
    assert summary(report) == (4, 1, 0, 0, 3)
    assert [(one.line, one.code) for one in report.problems] == [(3, "NOT_A_REJECT"), (4, "NOT_A_REJECT"), (5, "OTHER_IMPORT")]
    assert {name: one.get("total") for name, one in work.profiles().items()} == {"1": "5", "2": None, "3": None, "4": None}


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (b"", "NOT_A_REJECTS_FILE", "corrected.csv, line 1: this is no file of rejects"),
        (b"id,name\n1,Ana\n", "NOT_A_REJECTS_FILE", "its first column is not _headrace_reject"),
        (b"_headrace_reject,_headrace_line,id\nx,2,3\n", "NOT_A_REJECTS_FILE", "the first columns must be"),
        ("HEADER\nx,2,3\n", "NOTHING_TO_REPLAY", "no line names a rejected row or cell"),
        ('HEADER\n"x,2,3\n', "NOT_A_REJECTS_FILE", "corrected.csv, line 2: the line can't be read"),
        ("HEADER\nd:1:2:3:::0123456789ab\n", "NO_SUCH_IMPORT", "corrected.csv, line 2: connection"),
        ("HEADER\n".encode("utf-16"), "NOT_A_REJECTS_FILE", "not UTF-8"),
        (b"HEADER\ncaf\xe9\n", "NOT_A_REJECTS_FILE", "not UTF-8"),
    ],
)  # fmt: skip
def test_a_file_that_is_none_of_ours_is_refused(headrace: Running, data: bytes | str, code: str, said: str) -> None:
    header = ",".join([*OWN_COLUMNS, *COLUMNS])
    written = data.encode() if isinstance(data, str) else data
    work = headrace.work()
    with pytest.raises(TerminalError) as caught:
        replay(headrace.pipeline.context, work.connection, written.replace(b"HEADER", header.encode()))
    assert caught.value.code == code
    assert said in str(caught.value)


def test_a_property_that_is_not_the_same_any_more_is_refused(headrace: Running) -> None:
    work = headrace.work()
    result = work.load(csv_of(work.row(1, "Ana", "one")))
    assert result.state == COMPLETE
    data = corrected(work.read(str(result.rejects_key)), with_cells(total="5"))
    work.change(active=False)
    with pytest.raises(TerminalError, match="SWITCHED_OFF"):
        replay(headrace.pipeline.context, work.connection, data)
    work.change(active=True)
    assert summary(replay(headrace.pipeline.context, work.connection, data)) == (1, 1, 0, 0, 0)
