"""Bad input through the real path: a clear error, or rejects with line and code; every other row is applied; the next import goes on."""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.errors import TerminalError
from headrace.file_selection import FileSelection
from object_store.access import connect
from object_store.compression import decompressed
from object_store.store import ObjectStore
from object_store.versions import ObjectVersion
from profile_store import sequence
from streaming.importing.close import COMPLETE, FAILED, ImportResult
from streaming.importing.context import Progress
from streaming.importing.register import register_import
from streaming.importing.scan import scan_goal
from streaming.split.splitter import Splitter
from tests.memory import peak_memory
from tests.polling import eventually
from tests.running import COLUMNS, Running, Work, csv_of, running
from tests.splitting import plan_for

MEGABYTE = 1024 * 1024
HEADER = ",".join(COLUMNS)


@pytest.fixture(scope="module")
def headrace(valkey_server: ValkeyServer, apache_kafka: str, s3_server: S3Server) -> Iterator[Running]:
    with running(valkey_server, apache_kafka, s3_server) as made:
        yield made


def goes_on(work: Work) -> bool:
    """The next import of the domain is not held up."""
    [result] = [one for one in _after(work) if one.registration.needed_source.key.endswith("next.csv")]
    return result.state == COMPLETE and "next" in work.profiles()


def _after(work: Work) -> list[ImportResult]:
    work.put("next.csv", csv_of(work.row("next", "Ana")))
    return work.run()


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (b"", "EMPTY_FILE", "a.csv: the file is empty"),
        (b"\xef\xbb\xbf", "EMPTY_FILE", "a.csv: the file is empty"),
        (f"{HEADER},name\n".encode(), "COLUMN_TWICE", "a.csv, line 1: 2 columns are called 'name'"),
        (b"id,name,tags,day\n", "COLUMN_MISSING", "a.csv, line 1: there is no column 'total'; the columns are 'id', 'name', 'tags', 'day'"),
        (f"\ufeff\ufeff{HEADER}\n".encode(), "COLUMN_MISSING", "there is no column 'id'"),
        (HEADER.encode() + b"\r1,a,,,\r2,b,,,\r", "BAD_HEADER", "line 1: the header can't be read. A carriage return stands alone"),
        (f'"{HEADER}\n1,a,,,\n'.encode(), "BAD_HEADER", "line 1: the header can't be read. A quoted cell opens"),
        (HEADER.encode("utf-16"), "BAD_HEADER", "line 1, byte 0: the header is not text"),
        (random.Random(1).randbytes(200_000), "BAD_HEADER", "a.csv, line 1"),
        (gzip.compress(HEADER.encode() + b"\n" + random.Random(2).randbytes(90_000).hex().encode())[:60_000], "TRUNCATED", "a.csv"),
        (gzip.compress(csv_of(("1", "Ana")))[:-6] + b"xxxxxx", "CORRUPT", "a.csv"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(100), "UNSUPPORTED_FORMAT", "7z archive"),
    ],
)  # fmt: skip
@pytest.mark.spec("I1", "I11", "I10")
def test_a_file_that_cannot_be_read_fails_with_a_clear_error_and_blocks_nobody(
    headrace: Running, data: bytes, code: str, said: str
) -> None:
    work = headrace.work()
    result = work.load(data)
    assert (result.state, result.outcomes.created) == (FAILED, 0)
    assert result.reason.startswith(f"{code}: ")
    assert work.directory in result.reason
    assert said in result.reason
    assert len(result.reason) < 2_500
    assert goes_on(work)


@pytest.mark.spec("I1", "R4")
@pytest.mark.parametrize("data", [HEADER, f"{HEADER}\n", f"\ufeff{HEADER}\r\n\r\n"])
def test_a_header_alone_is_complete_without_rows(headrace: Running, data: str) -> None:
    work = headrace.work()
    result = work.load(data.encode())
    assert (result.state, result.outcomes.rows, result.rejects_key) == (COMPLETE, 0, None)
    assert work.statuses() == {"a.csv": "imported"}


@pytest.mark.spec("M11", "I11", "R4")
def test_bad_rows_and_cells_are_rejected_and_every_other_row_is_applied(headrace: Running) -> None:
    work = headrace.work()
    good = [f"{work.name}-g{n},Ana,1,," for n in range(14)]
    bad: list[tuple[bytes, str, str]] = [
        (b"%s-b,open \"quote,1,,", "", ""),  # no quote at a cell's start: text
        (b'%s-b,"unclosed,1,,', "BAD_QUOTE", ""),
        (b'%s-b,"closed"too early,1,,', "BAD_QUOTE", ""),
        (b"%s-b,nul \0,1,,", "NUL_BYTE", ""),
        (b"%s-b,latin \xe9,1,,", "BAD_ENCODING", ""),
        (b"%s-b,lone\rreturn,1,,", "BAD_LINE_END", ""),
        (b"%s-b,few", "WRONG_COLUMN_COUNT", ""),
        (b"%s-b,many,1,,,", "WRONG_COLUMN_COUNT", ""),
        (b",nobody,1,,", "NO_IDENTIFIER", ""),
        (b"%s|%s,two,1,,", "INVALID_IDENTIFIER", ""),
        (b"%s-c,Ana,1,,2026-02-30", "NOT_A_DATE", "day"),
        (b"%s-d,Ana,12e3,,", "NOT_A_NUMBER", "total"),
        (b"%s-e," + b"x" * 600_000 + b",1,,", "ROW_TOO_LONG", ""),
        (b'%s-f,"never closed,1,,', "UNCLOSED_QUOTE", ""),
    ]  # fmt: skip
    lines = [HEADER.encode()]
    for row, (wrong, _, _) in zip(good, bad, strict=True):
        lines += [wrong.replace(b"%s", work.name.encode()), row.encode()]
    result = work.load(b"\n".join(lines))
    assert result.state == COMPLETE
    assert work.reasons(result) == [(str(2 + 2 * n), column, code) for n, (_, code, column) in enumerate(bad) if code]
    assert sorted(work.profiles()) == sorted(["b", "c", "d", *(f"g{n}" for n in range(14))])
    assert result.outcomes.rows == 28
    assert goes_on(work)


@pytest.mark.spec("I1", "M3")
def test_blank_and_doubled_names_of_other_columns_do_no_harm(headrace: Running) -> None:
    work = headrace.work()
    assert work.load(csv_of(("1", "", "2", *work.row(1, "Ana")), columns=("x", "", "x", *COLUMNS))).outcomes.created == 1


@pytest.mark.spec("I1")
def test_a_hundred_thousand_columns_are_read(headrace: Running) -> None:
    work = headrace.work()
    wide = (*COLUMNS, *("" for _ in range(100_000)))
    result = work.load(csv_of(work.row(1, "Ana"), columns=wide) + b"short,row\n")
    assert (result.outcomes.created, work.reasons(result)) == (1, [("3", "", "WRONG_COLUMN_COUNT")])


@pytest.mark.spec("I11", "R4")
def test_a_truncated_file_fails_with_what_was_applied_on_record(headrace: Running) -> None:
    """What was applied when the damage is met: here the reading waits for some of it."""
    work, real, domain = headrace.work(), headrace.pipeline, headrace.domain["name"]
    rnd, before = random.Random(5), sequence.domain_floor(real.store, domain)

    def wait_for_rows(progress: Progress) -> None:
        if progress.phase == "publishing":
            eventually(
                lambda: sequence.progress(real.store, domain, 2, before + 1).outcomes.rows > 0, within=30, what="some rows are applied"
            )

    data = csv_of(*(work.row(n, f"{rnd.getrandbits(60)}", "1") for n in range(130_000)))
    work.put("a.csv", gzip.compress(data, 1)[:-100_000])
    [result] = work.run(headrace.context(wait_for_rows))
    assert (result.state, result.reason.split(":")[0]) == (FAILED, "TRUNCATED")
    assert 0 < result.outcomes.rows < 130_000
    assert len(work.profiles()) == result.outcomes.created
    work.put("a.csv", csv_of(work.row("new", "whole again")))
    assert goes_on(work)


@pytest.mark.spec("I10")
def test_two_files_with_the_same_content_are_both_imported(headrace: Running) -> None:
    work = headrace.work()
    for name in ("a.csv", "b.csv"):
        work.put(name, csv_of(work.row(1, "Ana", "2")))
    assert [one.state for one in work.run()] == [COMPLETE, COMPLETE]
    assert work.profiles()["1"]["total"] == "4"


@pytest.mark.spec("I12")
def test_a_file_deleted_between_scan_and_registration_is_no_import(headrace: Running) -> None:
    work, real = headrace.work(), headrace.pipeline
    work.put("a.csv", csv_of(work.row(1, "Ana")))
    [scanned] = work.scan()
    connect(real.access, 1).delete_object(Bucket=work.bucket, Key=scanned.version.key)
    with pytest.raises(TerminalError) as caught:
        register_import(real.context, work.connection, work.connection.import_goals[0], scanned.version, "run")
    assert caught.value.code == "NO_SUCH_OBJECT"
    assert scanned.version.key in str(caught.value)
    assert goes_on(work)


class Vanishing(ObjectStore):
    """An S3 whose file `a.csv` is deleted right after it was listed."""

    def list_selected(self, bucket: str, selection: FileSelection) -> list[ObjectVersion]:
        found = super().list_selected(bucket, selection)
        for one in found:
            if one.key.endswith("a.csv"):
                connect(self.access, 1).delete_object(Bucket=bucket, Key=one.key)
        return found


@pytest.mark.spec("I4", "I10")
def test_a_known_file_deleted_during_the_scan_does_not_hide_the_others(headrace: Running) -> None:
    work, real = headrace.work(), headrace.pipeline
    assert work.load(csv_of(work.row(1, "Ana"))).state == COMPLETE
    work.put("b.csv", csv_of(work.row(2, "Bea")))
    context = replace(real.context, objects_of=lambda _: Vanishing(real.access))
    found = scan_goal(context, work.connection, work.connection.import_goals[0])
    assert [(one.version.key[-5:], one.status) for one in found] == [("b.csv", "new")]


class Repeated:
    """A stream of `count` times `piece`, which never lies in memory as a whole."""

    def __init__(self, head: bytes, piece: bytes, count: int) -> None:
        self._head, self._piece, self._left = head, piece, count * len(piece)

    def read(self, size: int) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        size = min(size, self._left, len(self._piece))
        self._left -= size
        return self._piece[:size]


@pytest.mark.spec("I12")
@pytest.mark.parametrize(
    ("piece", "count", "rows", "rejected"),
    [
        pytest.param(b"x" * MEGABYTE, 200, 1, 1, id="a line of 200 MB"),
        pytest.param(b'"' + b"x" * (MEGABYTE - 1), 200, 1, 1, id="with quotes"),
        pytest.param(b"A,x\n" * (MEGABYTE // 4), 24, 24 * MEGABYTE // 4, 0, id="many short rows"),
    ],
)
def test_memory_does_not_grow_with_the_file(piece: bytes, count: int, rows: int, rejected: int) -> None:
    stream = Repeated(b"id,text\n", piece, count)
    with peak_memory() as peak:
        splitter = Splitter(stream.read, plan_for(partitions=4), "a.csv")
        for _ in splitter.batches():
            pass
    assert (splitter.totals.rows, splitter.totals.rejected) == (rows, rejected)
    assert peak.grown < 150 * MEGABYTE


@pytest.mark.spec("I11", "I12")
def test_a_file_that_unpacks_to_a_gigabyte_is_unpacked_as_it_is_read() -> None:
    member = gzip.compress((b"A,x" + b" " * 997 + b"\n") * 10_000, 9)
    packed = io.BytesIO(gzip.compress(b"id,text\n") + member * 100)
    assert len(packed.getvalue()) < 4 * MEGABYTE
    read: Callable[[int], bytes] = decompressed(_Raw(packed), "s3://b/a.csv.gz").read
    with peak_memory() as peak:
        splitter = Splitter(read, plan_for(partitions=4), "a.csv")
        for _ in splitter.batches():
            pass
    assert splitter.totals.rows == 1_000_000
    assert peak.grown < 150 * MEGABYTE


class _Raw(io.RawIOBase):
    def __init__(self, source: io.BytesIO) -> None:
        super().__init__()
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        return self._source.readinto(buffer)
