"""Two runs drive one import, because one of them was silent for longer than its lease: one end, one result, both get it."""

from __future__ import annotations

import threading

import pytest

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.errors import SourceChangedError, TerminalError
from headrace.outcomes import Outcomes
from object_store.access import connect
from profile_store import ledger, sequence
from streaming.importing.await_outcomes import await_outcomes
from streaming.importing.await_turn import finish
from streaming.importing.close import COMPLETE, FAILING, ImportResult, close_import, fail
from streaming.importing.context import ImportEndedError
from streaming.importing.drive import drive
from streaming.importing.publish import publish_rows
from streaming.importing.write_rejects import write_rejects
from tests.contract.worker_streams import Stream, open_stream
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually

ROWS = 500


@pytest.fixture
def real(valkey: ValkeyServer, apache_kafka: str, empty_s3: S3Server) -> Pipeline:
    made = pipeline(valkey.url, apache_kafka, access_to(empty_s3))
    made.make_bucket("crm")
    return made


@pytest.fixture
def stream(real: Pipeline, domain_name: str) -> Stream:
    return open_stream(real, domain_name, ROWS)


def on_record(stream: Stream) -> tuple[str, str]:
    """The state of the result, and of the ledger's entry."""
    result = sequence.read_result(stream.real.store, stream.domain, 1)
    goal = stream.connection.import_goals[0]
    entry = ledger.entry_of(ledger.read_ledger(stream.real.store, stream.domain, stream.connection.name, goal.id), "crm", "in/a.csv")
    assert result is not None
    assert entry is not None
    return result["state"], entry.state


@pytest.mark.spec("B1")
def test_whoever_waits_for_rows_of_an_import_that_another_run_ended_is_told(stream: Stream) -> None:
    """Its counts are gone: they would never add up."""
    context = stream.real.context
    with stream.real.workers(stream.domain):
        totals = publish_rows(context, stream.registration)
        assert finish(context, stream.registration, "faster").state == COMPLETE
        with pytest.raises(ImportEndedError):
            await_outcomes(context, stream.registration, totals)


@pytest.mark.spec("B1", "B2")
def test_whoever_writes_the_rejects_of_an_import_that_another_run_ended_leaves_its_file_alone(stream: Stream) -> None:
    """The store has forgotten them: the file would hold the splitter's own rejects alone."""
    context = stream.real.context
    with stream.real.workers(stream.domain):
        totals = publish_rows(context, stream.registration)
        outcomes = await_outcomes(context, stream.registration, totals)
        key = finish(context, stream.registration, "faster").rejects_key
    assert key is not None
    written = context.objects_of("").head("crm", key)
    with pytest.raises(ImportEndedError):
        write_rejects(context, stream.registration, outcomes.rejected + outcomes.cells)
    assert context.objects_of("").head("crm", key).etag == written.etag


@pytest.mark.spec("B1", "R4")
def test_two_runs_drive_one_import_to_one_end(stream: Stream) -> None:
    results: list[ImportResult] = []
    threads = [
        threading.Thread(target=lambda: results.append(drive(stream.real.context, stream.registration)), daemon=True) for _ in range(3)
    ]
    with stream.real.workers(stream.domain, 2):
        for thread in threads:
            thread.start()
        eventually(lambda: len(results) == 3, within=60, what="all three have the result")
    assert {(one.state, one.outcomes) for one in results} == {(COMPLETE, stream.expected)}
    assert on_record(stream) == ("COMPLETE", "COMPLETE")
    assert stream.real.profiles(stream.domain) == stream.oracle


@pytest.mark.spec("B1", "I10", "I12")
def test_whoever_finds_the_source_gone_because_the_import_is_over_does_not_fail_it(stream: Stream) -> None:
    """Its pinned copy goes with its end, and after that the object itself may go."""
    context = stream.real.context
    with stream.real.workers(stream.domain):
        assert finish(context, stream.registration, "faster").state == COMPLETE
    connect(stream.real.access, 1).delete_object(Bucket="crm", Key="in/a.csv")
    with pytest.raises(TerminalError) as gone:
        publish_rows(context, stream.registration)
    result = fail(context, stream.registration, gone.value)
    assert (result.state, result.outcomes) == (COMPLETE, stream.expected)
    assert on_record(stream) == ("COMPLETE", "COMPLETE")


@pytest.mark.spec("B1", "I12")
def test_whoever_completes_an_import_that_another_run_is_failing_lets_it_fail(stream: Stream) -> None:
    """The first word counts; what was applied is on record."""
    context = stream.real.context
    with stream.real.workers(stream.domain):
        totals = publish_rows(context, stream.registration)
        outcomes = await_outcomes(context, stream.registration, totals)
    sequence.put_result(
        stream.real.store, stream.domain, 1, {"state": FAILING, "reason": "gone", "rejects_key": None, **Outcomes().as_dict()}
    )
    result = close_import(context, ImportResult(stream.registration, COMPLETE, outcomes))
    assert (result.state, result.reason, result.outcomes) == ("FAILED", "gone", stream.expected)
    assert on_record(stream) == ("FAILED", "FAILED")
    late = fail(context, stream.registration, SourceChangedError("another reason"))
    assert (late.state, late.reason, late.outcomes) == ("FAILED", "gone", stream.expected)


@pytest.mark.spec("B1")
def test_redis_that_refuses_ends_no_import(stream: Stream) -> None:
    """Credentials say nothing about a file: FAILED would have it imported again, sums and all."""
    with pytest.raises(TerminalError, match="REDIS_DENIED"):
        fail(stream.real.context, stream.registration, TerminalError("Redis refused the credentials.", code="REDIS_DENIED"))
    assert sequence.read_result(stream.real.store, stream.domain, 1) is None
