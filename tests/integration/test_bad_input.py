"""Bad input through the real path: a clear error, or rejects with line and code; every other row is applied; the next import goes on."""

from __future__ import annotations

import gzip
import random
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.errors import TerminalError
from headrace.file_selection import FileSelection
from object_store.access import connect
from object_store.store import ObjectStore
from object_store.versions import ObjectVersion
from profile_store import counts, sequence
from streaming.importing.close import COMPLETE, FAILED, ImportResult
from streaming.importing.context import Progress
from streaming.importing.register import register_import
from streaming.importing.scan import scan_goal
from streaming.split.splitter import Splitter
from tests.bad_inputs import FILES, HEADER, OBJECTS, ROWS
from tests.big_input import Repeated
from tests.memory import peak_memory
from tests.polling import eventually
from tests.running import COLUMNS, Running, Work, csv_of, running
from tests.servers.cut_proxy import CutProxy
from tests.splitting import plan_for

MEGABYTE = 1024 * 1024


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


@pytest.mark.spec("I1", "I11", "I10", "I13")
def test_a_file_that_cannot_be_read_fails_with_a_clear_error_and_blocks_nobody(headrace: Running) -> None:
    """All of them in one run, and good files between them."""
    formats = {tuple(one.format.items()): one.format for one in FILES}
    for given in formats.values():
        work = headrace.work(format={"multi_value": "|", **given})
        here = {f"{number:02d}-bad.{one.extension}": one for number, one in enumerate(FILES) if one.format == given}
        good = ["09", "19", "99"]
        for name in good:
            work.put(f"{name}-good.csv", csv_of(work.row(name, "Ana")).decode().encode(given.get("encoding", "utf-8")))
        for name, one in here.items():
            work.put(name, one.data)
        results = {result.registration.needed_source.key.removeprefix(work.directory): result for result in work.run()}
        for name, one in here.items():
            result = results[name]
            assert (result.state, result.outcomes.created) == (FAILED, 0), one.name
            assert result.reason.startswith(f"{one.code}: "), (one.name, result.reason)
            assert f"{work.directory}{name}" in result.reason, (one.name, result.reason)
            assert one.said in result.reason, (one.name, result.reason)
            assert len(result.reason) < 2_500, one.name
        assert sorted(work.profiles()) == good


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
    good = [f"{work.name}-g{n},Ana,1,," for n in range(len(ROWS))]
    lines = [HEADER.encode()]
    for row, bad in zip(good, ROWS, strict=True):
        lines += [bad.data.replace(b"%s", work.name.encode()), row.encode()]
    result = work.load(b"\n".join(lines))
    assert result.state == COMPLETE
    assert work.reasons(result) == [(str(2 + 2 * n), bad.column, bad.code) for n, bad in enumerate(ROWS) if bad.code]
    assert sorted(work.profiles()) == sorted(["b", "c", "d", *(f"g{n}" for n in range(len(ROWS)))])
    assert result.outcomes.rows == 2 * len(ROWS)
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
                lambda: counts.progress(real.store, domain, 2, before + 1).outcomes.rows > 0, within=30, what="some rows are applied"
            )

    data = csv_of(*(work.row(n, f"{rnd.getrandbits(60)}", "1" if n % 100 else "one") for n in range(130_000)))
    work.put("a.csv", gzip.compress(data, 1)[:-100_000])
    [result] = work.run(headrace.context(wait_for_rows))
    assert (result.state, result.reason.split(":")[0]) == (FAILED, "TRUNCATED")
    assert 0 < result.outcomes.rows < 130_000
    reasons = work.reasons(result)
    assert len(reasons) == result.outcomes.cells > 0
    assert {(code, int(line) % 100) for line, _, code in reasons} == {("NOT_A_NUMBER", 2)}
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


def changed(kind: str, data: bytes) -> bytes | None:
    """What is at the key afterwards; None: nothing."""
    return {"replaced": data.replace(b"old", b"new"), "deleted": None, "shortened": data[: len(data) // 2], "grown": data + data}[kind]


@pytest.mark.spec("I12")
@pytest.mark.parametrize("kind", OBJECTS)
def test_an_object_that_changes_while_it_is_read_ends_its_import_with_its_rows_on_record(headrace: Running, kind: str) -> None:
    work, real = headrace.work(pin="never"), headrace.pipeline
    data = csv_of(*(work.row(number % 500, f"old{number:050d}", "1") for number in range(90_000)))
    work.put("a.csv", data)
    client, done = connect(real.access, 1), threading.Event()

    def change(progress: Progress) -> None:
        if progress.phase == "publishing" and progress.done and not done.is_set():
            done.set()
            after = changed(kind, data)
            if after is None:
                client.delete_object(Bucket=work.bucket, Key=f"{work.directory}a.csv")
            else:
                client.put_object(Bucket=work.bucket, Key=f"{work.directory}a.csv", Body=after)

    host, port = str(real.access.endpoint_url).removeprefix("http://").split(":")
    with CutProxy(host, int(port)) as proxy:
        proxy.cut(2_500_000)  # the stream breaks behind the change, and has to be taken up again
        [result] = work.run(headrace.context(change, replace(real.access, endpoint_url=f"http://{proxy.host}:{proxy.port}")))
    assert (result.state, result.reason.split(":")[0]) == (FAILED, "SOURCE_CHANGED")
    assert f"{work.directory}a.csv" in result.reason
    assert result.outcomes.rows < 90_000
    assert sum(int(str(one["total"])) for one in work.profiles().values()) == result.outcomes.rows
    connect(real.access, 1).delete_object(Bucket=work.bucket, Key=f"{work.directory}a.csv")
    assert goes_on(work)


@pytest.mark.spec("I12")
def test_memory_does_not_grow_with_the_file() -> None:
    """Of many short rows; tests/integration/test_big_input.py has long ones."""
    stream = Repeated(b"id,text\n", b"A,x\n" * (MEGABYTE // 4), 24, b"")
    with peak_memory() as peak:
        splitter = Splitter(lambda size: stream.read(size) or b"", plan_for(partitions=4), "a.csv")
        for _ in splitter.batches():
            pass
    assert (splitter.totals.rows, splitter.totals.rejected) == (24 * MEGABYTE // 4, 0)
    assert peak.grown < 150 * MEGABYTE
