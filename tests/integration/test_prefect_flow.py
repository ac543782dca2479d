"""The flow `import_profiles` with real servers and workers: how runs end, what they say, and what they never say."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from prefect import State, flow

from deployments.embedded.prefect import PrefectServer
from deployments.embedded.s3 import SECRET_ACCESS_KEY
from flows import import_goals as flow_module
from flows.import_profiles import import_profiles
from flows.run_goals import EVERY_GOAL
from headrace.errors import TerminalError, TransientError
from headrace.goal_choice import PROFILES
from headrace.merge import Profile, import_rows
from profile_store import run_turns, runs
from profile_store.run_turns import Place
from streaming.importing.await_run_turn import holding_turn, scope_of
from tasks.step import step
from tests.integration.prefect_api import PrefectApi
from tests.pipeline import Pipeline
from tests.polling import eventually
from tests.shop import as_csv, customers, plan_in, purchases, shop

pytestmark = pytest.mark.slow

CELL = "very-personal-cell"


@pytest.fixture
def real(flow_pipeline: Pipeline) -> Pipeline:
    return flow_pipeline


def run(connection: str, goal: str = "") -> State[Any]:
    return import_profiles(connection, goal, return_state=True)


def run_id(state: State[Any]) -> str:
    assert state.state_details.flow_run_id is not None
    return str(state.state_details.flow_run_id)


def rows_of(artifact: dict[str, Any]) -> list[dict[str, Any]]:
    """Of a table artifact."""
    data = artifact["data"]
    found: list[dict[str, Any]] = json.loads(data) if isinstance(data, str) else data
    return found


@pytest.mark.spec("I4", "I10", "I13", "R1", "R4")
def test_a_run_imports_what_is_new_and_the_next_one_says_why_there_is_nothing_to_do(
    real: Pipeline, in_prefect: PrefectApi, domain_name: str
) -> None:
    connection = real.apply(shop(domain_name), customers(domain_name))
    tables = [purchases(300), purchases(200, 31)]
    for number, table in enumerate(tables):
        real.put("crm", f"in/{number}.csv", as_csv(table))

    with real.workers(domain_name):
        first = run("crm")
        second = run("crm")

    oracle: dict[bytes, Profile] = {}
    plan = plan_in(real, connection)
    outcomes = [import_rows(oracle, table, plan).outcomes for table in tables]
    assert real.profiles(domain_name) == oracle

    assert first.is_completed()
    assert first.message == "2 files imported, 500 rows, 0 of them rejected."
    summary = in_prefect.artifacts(run_id(first))["crm-summary"]["data"]
    for number, one in enumerate(outcomes):
        assert f"| `{number}.csv` | {one.rows} | {one.created} | {one.updated} | {one.unchanged} |" in summary
    progress = in_prefect.artifacts(run_id(first))["crm-progress"]
    assert float(progress["data"]) == 100

    assert second.is_completed()
    assert second.message == "Nothing to do: 2 files found, none new or changed."
    table = rows_of(in_prefect.artifacts(run_id(second))["crm-nothing-to-do"])
    assert [row["file"] for row in table] == ["s3://crm/in/0.csv", "s3://crm/in/1.csv"]
    assert all("neither file nor configuration changed" in row["the ledger says"] for row in table)

    last, before = runs.list_runs(real.store, "crm")
    assert (last.run_id, last.state, last.files) == (run_id(second), "NOTHING_TO_DO", [])
    assert (before.run_id, before.state) == (run_id(first), "COMPLETE")
    assert [(file.key, file.state, file.counts) for file in before.files] == [
        (f"in/{number}.csv", "COMPLETE", one) for number, one in enumerate(outcomes)
    ]
    assert before.started <= before.ended <= last.started

    history = in_prefect.artifacts(run_id(second))["crm-history"]["data"]
    assert "| `COMPLETE` |" in history
    assert f"Unique profiles imported into `{domain_name}`: **{len(oracle)}**" in history
    assert "████" in history
    in_prefect.request("DELETE", f"/flow_runs/{run_id(first)}")
    assert runs.read_run(real.store, before.run_id) == before, "Prefect forgets; Headrace does not"


@pytest.mark.spec("B2", "C2", "M11")
def test_rejects_are_shown_without_a_cell_and_nothing_secret_reaches_prefect(
    real: Pipeline, in_prefect: PrefectApi, prefect_server: PrefectServer, domain_name: str
) -> None:
    real.apply(shop(domain_name), customers(domain_name))
    table = [
        *purchases(60),
        {"id": "C1", "amount": CELL, "day": "2026-01-02", "tags": ""},
        {"id": "", "amount": "1", "day": "", "tags": CELL},
    ]
    real.put("crm", "in/a.csv", as_csv(table))

    with real.workers(domain_name):
        state = run("crm", EVERY_GOAL)

    artifacts = in_prefect.artifacts(run_id(state))
    rejects = rows_of(artifacts["crm-rejects"])
    assert [(one["line"], one["column"], one["code"]) for one in rejects] == [
        (51, "amount", "NOT_A_NUMBER"),
        (62, "amount", "NOT_A_NUMBER"),
        (63, "", "NO_IDENTIFIER"),
    ]
    (record,) = runs.list_runs(real.store, "crm")
    written = record.files[0].rejects_key
    assert written is not None
    assert f"s3://crm/{written}" in artifacts["crm-summary"]["data"]
    assert f"s3://crm/{written}" in artifacts["crm-rejects"]["description"]
    with real.objects.open(real.objects.head("crm", written)) as stream:
        assert CELL in stream.read().decode(), "the rejects file is where the raw rows are"

    everything = kept_by(prefect_server.home)
    assert b"crm-rejects" in everything
    assert CELL.encode() not in everything
    assert SECRET_ACCESS_KEY.encode() not in everything
    assert plan_in(real, real.apply(shop(domain_name), customers(domain_name))).address_key.encode() not in everything


def kept_by(home: Path) -> bytes:
    """All that a Prefect server and its clients have written: database, journal, results."""
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file() and "ui" not in path.relative_to(home).parts[0])


@pytest.mark.spec("C4")
@pytest.mark.parametrize(
    ("more", "goal", "goal_is", "said"),
    [
        ({"enabled": False}, "", {}, "Nothing done: connection crm is off."),
        ({}, "customers", {"active": False}, "Nothing done: goal customers of connection crm is not active."),
        ({}, "", {"active": False}, "Nothing done: connection crm has no active goal that imports profiles."),
    ],
)
def test_what_is_switched_off_does_nothing_and_says_so(
    real: Pipeline, domain_name: str, more: dict[str, Any], goal: str, goal_is: dict[str, Any], said: str
) -> None:
    real.apply(shop(domain_name), customers(domain_name, **goal_is), **more)
    real.put("crm", "in/a.csv", as_csv(purchases(10)))

    state = run("crm", goal)

    assert state.is_completed()
    assert state.message is not None
    assert state.message.startswith(said)
    assert real.profiles(domain_name) == {}
    (record,) = runs.list_runs(real.store, "crm")
    assert (record.state, record.reason) == ("NOTHING_TO_DO", state.message)


@pytest.mark.spec("R1")
def test_a_connection_that_does_not_exist_fails_the_run_with_what_to_do(real: Pipeline) -> None:
    state = run("crn")

    [record] = runs.list_every_run(real.store)
    assert (record.connection, record.state, record.reason) == ("crn", "FAILED", state.message)

    assert state.is_failed()
    assert state.message is not None
    assert state.message.startswith("NO_SUCH_CONNECTION: There is no connection crn")


def test_a_goal_that_does_not_exist_fails_the_run_with_those_that_do(real: Pipeline, domain_name: str) -> None:
    real.apply(shop(domain_name), customers(domain_name))

    state = run("crm", "custommers")

    assert state.is_failed()
    assert state.message == (
        "NO_SUCH_GOAL: Connection crm has no goal custommers; its goals that do: customers. Choose one of them, or none for all."
    )


@pytest.mark.spec("I10", "I13")
def test_a_file_that_cannot_be_read_fails_the_run_and_the_others_are_imported(
    real: Pipeline, in_prefect: PrefectApi, domain_name: str
) -> None:
    real.apply(shop(domain_name), customers(domain_name, source={"bucket": "crm", "directory": "in/"}))
    real.put("crm", "in/0-broken.csv.gz", gzip.compress(as_csv(purchases(3_000)))[:-200])
    real.put("crm", "in/1.csv", as_csv(purchases(40)))

    with real.workers(domain_name):
        state = run("crm")

    assert state.is_failed()
    assert state.message is not None
    assert state.message.startswith("1 of 2 files imported. s3://crm/in/0-broken.csv.gz: TRUNCATED")
    assert "#### Failed" in in_prefect.artifacts(run_id(state))["crm-summary"]["data"]
    (record,) = runs.list_runs(real.store, "crm")
    assert record.state == "FAILED"
    assert {(file.key, file.state) for file in record.files} == {("in/0-broken.csv.gz", "FAILED"), ("in/1.csv", "COMPLETE")}


@pytest.mark.spec("I3")
def test_a_bucket_that_is_not_there_stops_its_goal_alone(real: Pipeline, domain_name: str) -> None:
    elsewhere = {**customers(domain_name), "kind": "import_profiles", "id": "other", "name": "Other", "source": {"bucket": "nowhere"}}
    here = {**customers(domain_name), "kind": "import_profiles", "id": "customers", "name": "Customers"}
    real.apply_goals(shop(domain_name), [elsewhere, here])
    real.put("crm", "in/a.csv", as_csv(purchases(10)))

    with real.workers(domain_name):
        state = run("crm")

    assert state.is_failed()
    assert state.message is not None
    assert state.message.startswith("1 of 1 file imported. goal other: ")
    assert "nowhere" in state.message


@pytest.mark.spec("I13")
def test_an_outage_that_lasts_stops_the_goal_so_that_no_later_file_comes_first(
    real: Pipeline, domain_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task's own attempts, minutes of them, are left out here."""
    real.apply(shop(domain_name), customers(domain_name))
    for number in range(2):
        real.put("crm", f"in/{number}.csv", as_csv(purchases(10)))
    asked: list[str] = []

    def unavailable(_number: object, _report: object) -> None:
        asked.append("publish")
        raise TransientError("Kafka does not answer.", code="KAFKA_UNAVAILABLE")

    with monkeypatch.context() as broken:
        broken.setattr(flow_module, "publish_rows", unavailable)
        state = run("crm")

    assert state.is_failed()
    assert state.message is not None
    assert "KAFKA_UNAVAILABLE: Kafka does not answer. Import 1 of s3://crm/in/0.csv stays open" in state.message
    assert asked == ["publish"]
    with real.workers(domain_name):
        assert run("crm").message == "2 files imported, 20 rows, 0 of them rejected."


@pytest.mark.spec("B1", "R4")
def test_two_runs_of_one_connection_at_once_import_each_file_once(real: Pipeline, domain_name: str) -> None:
    connection = real.apply(shop(domain_name), customers(domain_name))
    tables = [purchases(3_000), purchases(2_000, 31)]
    for number, table in enumerate(tables):
        real.put("crm", f"in/{number}.csv", as_csv(table))

    with real.workers(domain_name), ThreadPoolExecutor(max_workers=2) as pool:
        states = [one.result() for one in [pool.submit(copy_context().run, run, "crm") for _ in range(2)]]

    assert [state.message for state in states if not state.is_completed()] == []
    oracle: dict[bytes, Profile] = {}
    plan = plan_in(real, connection)
    outcomes = [import_rows(oracle, table, plan).outcomes for table in tables]
    assert real.profiles(domain_name) == oracle
    for record in runs.list_runs(real.store, "crm"):
        assert record.state in ("COMPLETE", "NOTHING_TO_DO")
        assert [file.counts for file in record.files] in (outcomes, outcomes[1:], [])


@pytest.mark.usefixtures("in_prefect")
def test_an_outage_is_tried_again_and_a_refusal_is_not() -> None:
    tries: list[str] = []

    @flow
    def flaky() -> int:
        return reach.with_options(retry_delay_seconds=0)()

    @step
    def reach() -> int:
        tries.append("outage")
        if len(tries) < 3:
            raise TransientError("Redis does not answer.")
        return len(tries)

    @flow
    def refused() -> None:
        refuse()

    @step
    def refuse() -> None:
        tries.append("refusal")
        raise TerminalError("There is no such bucket.")

    assert flaky() == 3
    with pytest.raises(TerminalError):
        refused()
    assert tries == ["outage"] * 3 + ["refusal"]


@pytest.mark.spec("R2", "C4")
def test_a_run_waits_for_the_one_that_goes_on_and_is_switched_off_meanwhile(real: Pipeline, domain_name: str) -> None:
    """It looks again when its turn comes; a third one need not wait, and says so."""
    real.apply(shop(domain_name), customers(domain_name))
    real.put("crm", "in/a.csv", as_csv(purchases(10)))
    scope = scope_of(PROFILES, "")
    with ThreadPoolExecutor(max_workers=1) as pool:
        with holding_turn(real.store, "crm", scope, "the-one-that-goes-on"):
            assert run_turns.ask(real.store, "crm", scope, "the-one-that-goes-on").place is Place.GOES
            second = pool.submit(copy_context().run, run, "crm")
            waiting = eventually(
                lambda: [one for one in runs.list_runs(real.store, "crm") if one.state == "WAITING"] or None, within=30, what="it waits"
            )
            third = run("crm")
            real.apply(shop(domain_name), customers(domain_name), enabled=False)
        ended = second.result()

    assert waiting[0].reason == "Waiting: run the-one-that-goes-on of connection crm goes on; this one waits for its end."
    assert third.is_completed()
    assert third.message is not None
    assert third.message.startswith(f"Nothing done: a run of connection crm goes on, and run {waiting[0].run_id}, which waits for its end")
    assert ended.message is not None
    assert ended.message.startswith("Nothing done: connection crm is off.")
    assert {one.state for one in runs.list_runs(real.store, "crm")} == {"NOTHING_TO_DO"}
