"""SPEC P2: what was rejected of a person goes with the profile, wherever Headrace has put it in S3; everybody else's rejects stay as they are."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import pytest

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.address import address_of
from headrace.errors import TerminalError
from object_store.access import connect
from object_store.store import ObjectStore
from profile_store import registry
from profile_store.registration import Registration
from streaming.importing.await_turn import await_turn, finish
from streaming.importing.close import ImportResult
from streaming.importing.context import ImportContext
from streaming.importing.drive import drive
from streaming.importing.erase import register_erasure
from streaming.importing.erase_rejects import erase_from_rejects
from streaming.importing.replay import register_replay
from tests.corrected import Line, corrected, history, replay
from tests.running import Running, Work, csv_of, running

pytestmark = pytest.mark.spec("P2")


@pytest.fixture(scope="module")
def headrace(valkey_server: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server) -> Iterator[Running]:
    with running(valkey_server, tansu_server.bootstrap_servers, s3_server) as made:
        yield made


def rejected(work: Work) -> ImportResult:
    """Of customer 1 a cell and a line that is no row; of others three more. Customers 1 and 2 have a profile."""
    rows = csv_of(work.row(1, "Ana", "one"), work.row(2, "Bea", "two"), ("", "Cleo", "3"))
    return work.load(rows + f"{work.name}-1,Ana,few\n{work.name}-11,Dora,few\n".encode())


def erasure(work: Work, number: int = 1) -> Registration:
    context, domain = work.running.pipeline.context, work.running.domain["name"]
    key = bytes.fromhex(registry.get_domain(context.store, domain).address_key)
    return register_erasure(context, domain, address_of(key, "customer_id", f"{work.name}-{number}"), suppress=False)


def erase(work: Work, number: int = 1, context: ImportContext | None = None) -> ImportResult:
    return finish(context or work.running.pipeline.context, erasure(work, number), "eraser")


def everything(work: Work) -> str:
    """All versions of all objects that Headrace has written below the work's directory."""
    client = connect(work.running.pipeline.access, 1)
    found = client.list_object_versions(Bucket=work.bucket, Prefix=f"{work.directory}_headrace/").get("Versions", [])
    bodies = (client.get_object(Bucket=work.bucket, Key=one["Key"], VersionId=one["VersionId"])["Body"].read() for one in found)
    return b"\n".join(bodies).decode()


def fixed(line: Line) -> Line:
    return {**line, "total": {"one": "1", "two": "2"}.get(line["total"], line["total"])}


def still_wrong(line: Line) -> Line | None:
    return {**line, "total": "wrong"} if line["_headrace_column"] == "total" else None


@pytest.mark.parametrize("versioned", [False, True])
def test_a_profile_takes_its_rejects_along_and_leaves_those_of_others(headrace: Running, *, versioned: bool) -> None:
    work, context = headrace.work(versioned=versioned), headrace.pipeline.context
    result = rejected(work)
    key = str(result.rejects_key)
    at_home = work.read(key)
    work.running.pipeline.put(work.bucket, key, at_home)  # somebody saved it again
    # Ana's and Bea's cells are still wrong, and rejected again into a file of their own.
    assert replay(context, work.connection, corrected(at_home, still_wrong)).again == 2
    before = everything(work)
    assert before.count("Ana") == (6 if versioned else 4)

    done = erase(work)

    assert (done.outcomes.updated, done.reason) == (1, "")
    assert "Ana" not in everything(work)
    assert [line[8] for line in work.lines(key)] == ["Bea", "Cleo", ""]
    found = history(context, work.connection)
    assert (found.counts.erased, found.counts.replayed, found.left) == (2, 0, 3)
    assert [line[8] for line in work.lines(*found.later)] == ["Bea"]
    # Somebody has the file as it was: Ana's lines are done with, the others are replayed as ever.
    report = replay(context, work.connection, corrected(at_home, fixed))
    assert (report.replayed, report.repeated, report.again, report.left) == (1, 2, 1, 1)
    assert work.profiles() == {"2": {"customer_id": f"{work.name}-2", "name": "Bea", "total": "2"}}
    assert history(context, work.connection).left == 2


def test_a_replay_that_waits_behind_the_erasure_is_read_without_its_lines(headrace: Running) -> None:
    work, context = headrace.work(), headrace.pipeline.context
    result = rejected(work)
    first = erasure(work)
    data = corrected(work.read(str(result.rejects_key)), lambda line: fixed(line) if line["total"] in ("one", "two") else None)
    found = register_replay(context, work.connection, io.BytesIO(data), "corrected.csv", "run")
    [(behind, lines)] = found.registrations
    assert (behind.import_seq, lines) == (first.import_seq + 1, 2)

    assert finish(context, behind, "run").outcomes.updated == 1

    assert work.profiles() == {"2": {"customer_id": f"{work.name}-2", "name": "Bea", "total": "2"}}
    assert history(context, work.connection).counts.erased == 2


def test_whoever_takes_up_an_erasure_finds_its_rejects_gone(headrace: Running) -> None:
    """It died between S3 and Redis: what it had done is done again, and counted once."""
    work, context = headrace.work(), headrace.pipeline.context
    rejected(work)
    order = erasure(work)
    assert await_turn(context, order, "dies")
    assert erase_from_rejects(context, order) == ""
    assert work.profiles().keys() == {"1", "2"}
    assert drive(context, order).outcomes.updated == 1
    assert "Ana" not in everything(work)
    assert (history(context, work.connection).counts.erased, history(context, work.connection).left) == (2, 3)


def test_rejects_out_of_reach_are_told_and_the_profile_goes_all_the_same(headrace: Running) -> None:
    work = headrace.work()
    result = rejected(work)
    refused = replace(headrace.pipeline.context, objects_of=_no_access)

    done = erase(work, context=refused)

    assert (done.state, done.outcomes.updated) == ("COMPLETE", 1)
    assert "ACCESS_DENIED: the key may not read" in done.reason
    assert "Ana" not in done.reason
    assert work.profiles().keys() == {"2"}
    # Once it is put right, the same command takes the rest along, by the identifier that is given.
    assert (erase(work).outcomes.skipped, "Ana" in work.read(str(result.rejects_key)).decode()) == (1, False)


def test_a_file_of_rejects_that_became_something_else_is_told(headrace: Running) -> None:
    work = headrace.work()
    key = str(rejected(work).rejects_key)
    work.running.pipeline.put(work.bucket, key, b"who,what\nAna,one\n")
    done = erase(work)
    assert done.outcomes.updated == 1
    assert f"NOT_A_REJECTS_FILE: s3://{work.bucket}/{key}" in done.reason


def _no_access(_connection: str) -> ObjectStore:
    raise TerminalError("the key may not read.", code="ACCESS_DENIED")
