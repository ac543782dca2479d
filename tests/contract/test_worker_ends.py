"""The end of an import, killed between any two steps: the next run finishes it, once. Real Kafka, real Redis."""

from __future__ import annotations

from typing import Any

import pytest

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from object_store.store import ObjectStore
from profile_store import counts, keys, ledger, sequence
from streaming.importing.await_turn import finish
from streaming.importing.close import result_of
from streaming.importing.scan import scan_goal
from tests.contract.worker_streams import Stream, open_stream
from tests.pipeline import Pipeline, access_to, pipeline

ROWS = 500


class KilledError(BaseException):
    """Nothing in the code under test may catch it: the process is gone."""


@pytest.fixture
def real(valkey: ValkeyServer, apache_kafka: str, empty_s3: S3Server) -> Pipeline:
    made = pipeline(valkey.url, apache_kafka, access_to(empty_s3))
    made.make_bucket("crm")
    return made


@pytest.fixture
def stream(real: Pipeline, domain_name: str) -> Stream:
    return open_stream(real, domain_name, ROWS)


STEPS: list[tuple[Any, str]] = [
    (sequence, "put_result"),
    (counts, "raise_floors"),
    (counts, "drop_import"),
    (ObjectStore, "unpin"),
    (sequence, "end"),
]


def kill_at(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, moment: str, call: int = 1) -> None:
    """The n-th call of a step is the last thing that happens, or what comes right before the end."""
    step, calls = getattr(place, name), 0

    def killed(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and moment == "before":
            raise KilledError
        result = step(*arguments, **named)
        if calls == call:
            raise KilledError
        return result

    monkeypatch.setattr(place, name, killed)


def left_behind(stream: Stream) -> list[bytes]:
    """Keys that an import which is over must not leave."""
    client: Any = stream.real.store.client
    ends = (b":tally:1", b":rejects:1", b":fence", b":lease:1", b":open")
    return [key for key in client.scan_iter() if key.endswith(ends)]


def state_of_ledger(stream: Stream) -> str:
    goal = stream.connection.import_goals[0]
    entry = ledger.entry_of(ledger.read_ledger(stream.real.store, stream.domain, stream.connection.name, goal.id), "crm", "in/a.csv")
    assert entry is not None
    return entry.state


def wanted(stream: Stream) -> list[bool]:
    return [one.wanted for one in scan_goal(stream.real.context, stream.connection, stream.connection.import_goals[0])]


@pytest.mark.spec("B1", "R4", "I10", "I12")
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("place", "name"), STEPS, ids=[name for _, name in STEPS])
def test_a_run_killed_in_the_end_of_its_import(stream: Stream, monkeypatch: pytest.MonkeyPatch, place: Any, name: str, moment: str) -> None:
    context = stream.real.context
    with stream.real.workers(stream.domain):
        with monkeypatch.context() as patched:
            kill_at(patched, place, name, moment)
            with pytest.raises(KilledError):
                finish(context, stream.registration, "killed")
        sequence.drop_lease(stream.real.store, stream.domain, 1)
        results = stream.real.run(stream.connection)  # which looks for files that are not imported, and may find none
    assert len(results) == (0 if (name, moment) == ("end", "after") else 1)
    result = result_of(context, stream.registration)
    assert result is not None
    assert (result.state, result.outcomes) == ("COMPLETE", stream.expected)
    assert stream.real.profiles(stream.domain) == stream.oracle
    assert state_of_ledger(stream) == "COMPLETE"
    assert wanted(stream) == [False]
    assert sequence.domain_floor(stream.real.store, stream.domain) == 1
    assert left_behind(stream) == []
    assert list(stream.real.objects.list_objects("crm", "in/_headrace/pinned/")) == []


@pytest.mark.spec("B1", "I12")
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("place", "name", "call"), [(*step, call) for step in STEPS for call in ((1, 2) if step[1] == "put_result" else (1,))]
)
def test_a_run_killed_in_the_end_of_an_import_that_failed(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, place: Any, name: str, call: int, moment: str
) -> None:
    """Half of it was applied when its source went: that half is on record, whoever ends it."""
    context, half = stream.real.context, stream.batches[: len(stream.batches) // 2]
    rows = sum(batch.rows.num_rows for batch in half)
    source = stream.registration.needed_source
    gone = stream.registration
    assert source.pinned_key is not None
    with stream.real.workers(stream.domain):
        stream.publish(half)
        stream.await_committed(stream.counts(half))
        for key in (source.pinned_key, source.key):  # the copy alone is not missed while its original is what it was
            stream.real.put("crm", key, b"something else")
        with monkeypatch.context() as patched:
            kill_at(patched, place, name, moment, call)
            with pytest.raises(KilledError):
                finish(context, gone, "killed")
        sequence.drop_lease(stream.real.store, stream.domain, 1)
        result = finish(context, gone, "next")
    assert (result.state, result.outcomes.rows) == ("FAILED", rows)
    assert "SOURCE_CHANGED" in result.reason
    assert state_of_ledger(stream) == "FAILED"
    assert wanted(stream) == [True]
    assert sequence.domain_floor(stream.real.store, stream.domain) == 1
    assert left_behind(stream) == []
    on_record = sequence.read_result(stream.real.store, stream.domain, 1)
    assert on_record is not None
    assert on_record["created"] + on_record["updated"] == rows
    assert stream.real.store.client.get(keys.floor(stream.domain)) == b"1"
