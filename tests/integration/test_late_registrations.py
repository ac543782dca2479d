"""Whoever scanned a file before another run imported it imports it no second time, however late it comes (SPEC I10, B1)."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator

import pytest

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from object_store.versions import ObjectVersion
from profile_store import counts, sequence
from profile_store.registration import Registration
from streaming.importing import register
from streaming.importing.await_turn import finish
from streaming.importing.close import COMPLETE, FAILED, ImportResult
from streaming.importing.context import Progress
from tests.polling import eventually
from tests.running import Running, Work, csv_of, running

pytestmark = pytest.mark.spec("I10", "B1")
ROWS = 200_000


@pytest.fixture(scope="module")
def headrace(valkey_server: ValkeyServer, apache_kafka: str, s3_server: S3Server) -> Iterator[Running]:
    with running(valkey_server, apache_kafka, s3_server) as made:
        yield made


def registered(work: Work, version: ObjectVersion) -> Registration:
    return register.register_import(work.running.pipeline.context, work.connection, work.connection.import_goals[0], version, "late")


def last_number(work: Work) -> int:
    return sequence.last_number(work.running.pipeline.store, work.running.domain["name"])


def cut_off(work: Work) -> bytes:
    """A file whose end is missing, and of which enough is there that rows are applied."""
    whole = gzip.compress(csv_of(*(work.row(number % 50, f"Ana {number}", "1") for number in range(ROWS))))
    return whole[:-4_000]


def fails(work: Work) -> ImportResult:
    """A run of the file, which is found to be cut off when some of its rows are applied."""
    store, domain, number = work.running.pipeline.store, work.running.domain["name"], last_number(work) + 1

    def wait(progress: Progress) -> None:
        if progress.phase == "publishing" and progress.done:
            eventually(lambda: counts.progress(store, domain, 2, number).outcomes.rows > 0, within=30, what="some rows are applied")

    [failed] = work.run(work.running.context(wait))
    assert (failed.state, failed.outcomes.rows > 0) == (FAILED, True)
    return failed


def test_a_damaged_file_that_another_run_has_failed_at_is_not_read_again(headrace: Running) -> None:
    work = headrace.work()
    work.put("a.csv.gz", cut_off(work))
    [scanned] = work.scan()
    assert scanned.status == "new"
    failed = fails(work)
    totals, last = work.profiles(), last_number(work)

    late = registered(work, scanned.version)
    assert (late.import_seq, last_number(work)) == (failed.registration.import_seq, last)
    assert finish(work.running.pipeline.context, late, "late").state == FAILED
    assert work.profiles() == totals


def between(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Once, when it is found that the file is wanted, before it is registered."""
    pin, left = vars(register)["pin_source"], [happens]

    def late(*arguments: object) -> ObjectVersion:
        if left:
            left.pop()()
        version: ObjectVersion = pin(*arguments)
        return version

    monkeypatch.setattr(register, "pin_source", late)


def test_a_version_that_others_have_imported_and_left_behind_is_not_imported_again(
    headrace: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = headrace.work(versioned=True)
    work.put("a.csv", csv_of(work.row(1, "old", "5")))
    [scanned] = work.scan()

    def others() -> None:
        assert [one.state for one in work.run()] == [COMPLETE]
        work.put("a.csv", csv_of(work.row(1, "new", "2")))
        assert [one.state for one in work.run()] == [COMPLETE]

    between(monkeypatch, others)
    late = registered(work, scanned.version)
    assert late.import_seq == last_number(work)
    assert finish(work.running.pipeline.context, late, "late").state == COMPLETE
    [profile] = work.profiles().values()
    assert (profile["name"], profile["total"]) == ("new", "7")


def test_what_others_failed_at_meanwhile_is_judged_again(headrace: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    work = headrace.work(versioned=True)
    work.put("a.csv.gz", cut_off(work))
    [scanned] = work.scan()
    between(monkeypatch, lambda: fails(work))
    late = registered(work, scanned.version)
    assert late.import_seq == last_number(work)
    result = sequence.read_result(work.running.pipeline.store, late.domain, late.import_seq) or {}
    assert sum(int(str(one["total"])) for one in work.profiles().values()) == result["created"] + result["updated"], "each row counts once"
