"""The flows that look before anything runs: what their artifacts say, that they hold shapes and no values, and how refusals are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import State

from deployments.embedded.prefect import PrefectServer
from flows.detect_fields import detect_fields
from flows.dry_run import dry_run
from flows.list_buckets import list_buckets
from flows.preview_file import preview_file
from flows.scan_files import ALL_GOALS, scan_files
from tests.integration.prefect_api import PrefectApi
from tests.pipeline import Pipeline
from tests.servers.s3_gateway import S3Gateway, refusal
from tests.shop import as_csv, customers, purchases, shop

pytestmark = pytest.mark.slow

SECRET_CELL, SECRET_DAY = "Very-Personal 77", "1987-06-05"


@pytest.fixture
def real(flow_pipeline: Pipeline, domain_name: str) -> Pipeline:
    """A goal with two files. The second has values that nobody may see."""
    flow_pipeline.apply(shop(domain_name), customers(domain_name))
    flow_pipeline.put("crm", "in/0.csv", as_csv(purchases(20)))
    rows = [f"C1,2.5,{SECRET_DAY},{SECRET_CELL},gold", f",{SECRET_CELL},,,", f"C2,{SECRET_CELL},05/06/1987,,"]
    flow_pipeline.put("crm", "in/1.csv", "\n".join(["id,amount,day,tags,tier", *rows]).encode())
    return flow_pipeline


def looked(api: PrefectApi, flow: Callable[..., Any], **parameters: Any) -> tuple[State[Any], dict[str, dict[str, Any]]]:
    """How a run of connection crm ended, and its artifacts by key."""
    state: State[Any] = flow(connection="crm", **parameters, return_state=True)
    assert state.state_details.flow_run_id is not None
    return state, api.artifacts(str(state.state_details.flow_run_id))


def rows_of(artifact: dict[str, Any]) -> list[dict[str, Any]]:
    data = artifact["data"]
    found: list[dict[str, Any]] = json.loads(data) if isinstance(data, str) else data
    return found


def kept_by(home: Path) -> bytes:
    """All that a Prefect server and its clients have written."""
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file() and "ui" not in path.relative_to(home).parts[0])


@pytest.mark.spec("I4", "C5")
@pytest.mark.usefixtures("real")
def test_buckets_and_files_are_tables(in_prefect: PrefectApi) -> None:
    state, artifacts = looked(in_prefect, list_buckets)
    assert state.is_completed()
    assert {"bucket": "crm", "goals that read it": "customers"} in rows_of(artifacts["crm-buckets"])

    state, artifacts = looked(in_prefect, scan_files, goal=ALL_GOALS)
    assert state.message == "2 files found, a run would import 2 of them."
    files = rows_of(artifacts["crm-files"])
    assert [(one["goal"], one["file"], one["status"], one["why"]) for one in files] == [
        ("customers", f"in/{number}.csv", "new", "not imported before") for number in range(2)
    ]
    assert all(one["bytes"] > 0 and one["modified (UTC)"].startswith("20") for one in files)


@pytest.mark.spec("I5", "I9", "M8", "B3", "C2")
@pytest.mark.usefixtures("real")
def test_artifacts_say_what_is_wrong_and_hold_no_value_unless_asked(in_prefect: PrefectApi, prefect_server: PrefectServer) -> None:
    state, artifacts = looked(in_prefect, preview_file)
    assert state.message == "1 row and 4 values would be rejected among all 3 rows."
    text = artifacts["crm-preview"]["data"]
    for part in ("`NOT_A_DATE`", "`99/99/9999`", "`%Y-%m-%d`", "Aaaa-Aaaaaaaa 99", "rejected: NO_IDENTIFIER", "`tier`"):
        assert part in text

    state, artifacts = looked(in_prefect, detect_fields, goal="customers", prefix="crm_")
    assert state.message == "1 column not mapped; 0 of them with a warning."
    assert "- {column: tier, property: crm_tier}" in artifacts["crm-detected"]["data"]

    state, artifacts = looked(in_prefect, dry_run, goal="customers")
    assert state.message is not None
    assert state.message.startswith("Nothing was changed. An import of 3 rows would create 2,")
    text = artifacts["crm-dry-run"]["data"]
    for part in (
        "| 3 | 2 | 0 | 0 | 0 | 1 | 3 |",
        "`NO_IDENTIFIER`",
        ", new | `total` | sum | filled |  | `9.9` |",
        "import 2 of 2 matching",
    ):
        assert part in text
    assert float(artifacts["crm-progress"]["data"]) == 100

    everything = kept_by(prefect_server.home)
    assert b"crm-dry-run" in everything
    for value in (SECRET_CELL, SECRET_DAY, "05/06/1987"):
        assert value.encode() not in everything

    for flow, key in ((preview_file, "crm-preview"), (dry_run, "crm-dry-run")):
        _, artifacts = looked(in_prefect, flow, show_values=True)
        assert SECRET_DAY in artifacts[key]["data"]


@pytest.mark.spec("I5")
def test_a_preview_of_a_file_that_would_fail_ends_failed_and_shows_what_there_is(real: Pipeline, in_prefect: PrefectApi) -> None:
    real.put("crm", "in/2.csv", b"id,amount,day\nC1,1,2026-01-31\n")
    state, artifacts = looked(in_prefect, preview_file, file="in/2.csv")
    assert state.is_failed()
    assert state.message == "An import would fail: there is no column 'tags'; names match exactly, capitals included"
    assert "`amount`" in artifacts["crm-preview"]["data"]
    state, _ = looked(in_prefect, dry_run, file="in/2.csv")
    assert state.is_failed()
    assert state.message is not None
    assert state.message.startswith("COLUMN_MISSING")


@pytest.mark.spec("C5")
def test_a_key_that_may_not_list_buckets_reads_a_typed_one(real: Pipeline, in_prefect: PrefectApi, monkeypatch: pytest.MonkeyPatch) -> None:
    with S3Gateway(real.access.endpoint_url or "") as gateway:
        gateway.rules.append(lambda request: refusal(403, "AccessDenied") if request.path.split("?")[0] == "/" else None)
        monkeypatch.setenv("HEADRACE_S3_ENDPOINT_URL", gateway.url)
        refused, _ = looked(in_prefect, list_buckets)
        typed, _ = looked(in_prefect, scan_files)
    assert refused.is_failed()
    assert refused.message is not None
    assert refused.message.startswith("LIST_BUCKETS_DENIED")
    assert "Type the bucket's name instead: that still works." in refused.message
    assert typed.is_completed()
