"""Export goals in Prefect and on the command line: after the imports of their connection, on record, with their counts, looked at before and after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prefect import State

from flows.export_profiles import export_profiles
from flows.preview_file import preview_file
from flows.run_connection import run_connection
from flows.scan_files import scan_files
from headrace.connections import Connection
from profile_store import runs
from tests.integration.command_line import CommandLine
from tests.integration.exported import applied, nothing_is_left, rows_at
from tests.integration.prefect_api import PrefectApi
from tests.pipeline import Pipeline
from tests.segmented import make_segment
from tests.shop import as_csv, purchases

pytestmark = pytest.mark.slow


def run(flow: Any, api: PrefectApi, **parameters: Any) -> tuple[State[Any], dict[str, Any]]:
    """How it ended, and its artifacts by key."""
    state: State[Any] = flow(connection="crm", **parameters, return_state=True)
    assert state.state_details.flow_run_id is not None
    return state, api.artifacts(str(state.state_details.flow_run_id))


@pytest.fixture
def connection(flow_pipeline: Pipeline, domain_name: str) -> Connection:
    """Its segment is there before any profile is, and a file waits to be imported."""
    made = applied(flow_pipeline, domain_name)
    make_segment(flow_pipeline.store, domain_name, "everyone")
    flow_pipeline.put("crm", "in/a.csv", as_csv(purchases(200)))
    return made


@pytest.mark.spec("E2", "E3", "E4", "R1", "R3", "I13")
def test_a_run_exports_what_it_imported_and_says_so_everywhere(
    flow_pipeline: Pipeline, in_prefect: PrefectApi, connection: Connection, domain_name: str, tmp_path: Path
) -> None:
    assert [one.kind for one in connection.goals] == ["import_profiles", "export_profiles"]
    with flow_pipeline.workers(domain_name):
        state, artifacts = run(run_connection, in_prefect)

    assert state.is_completed(), state.message
    assert state.message == "1 file imported, 200 rows, 0 of them rejected. 1 file exported, 97 of 97 available profiles."
    assert len(rows_at(flow_pipeline, "out/all.csv")) == 97
    summary = artifacts["crm-summary"]["data"]
    assert "### Goal `out`" in summary
    assert "| `s3://crm/out/all.csv` | 97 | 97 | 97 |" in summary
    assert float(artifacts["crm-progress"]["data"]) == 100
    assert f"Unique profiles exported from `{domain_name}`: **97**" in artifacts["crm-history"]["data"]
    [record] = runs.list_runs(flow_pipeline.store, "crm")
    imported, exported = record.files
    assert record.state == "COMPLETE"
    assert (imported.kind, imported.rows, exported.kind, exported.key) == ("import", 200, "export", "out/all.csv")
    assert (exported.available, exported.exported, exported.left_out, exported.state) == (97, 97, {}, "COMPLETE")
    nothing_is_left(flow_pipeline, domain_name)

    state, artifacts = run(scan_files, in_prefect, goal="out")
    assert state.message == "97 profiles are available to export by goal out."
    assert "out/all.csv" in str(artifacts["crm-files"]["data"])
    state, artifacts = run(preview_file, in_prefect, goal="out")
    assert state.message == "1 columns of dates; 0 values are not written as the goal writes them."
    assert "| `day` | date | `%Y-%m-%d` | 97 | 0 |" in artifacts["crm-preview"]["data"]

    headrace = CommandLine(
        tmp_path, {name: value for name, value in flow_pipeline.environment().items() if name.startswith("HEADRACE_") and value}
    )
    said = headrace("run", "crm", "out", "--here", "--json").document
    assert (said["state"], [(one["kind"], one["exported"]) for one in said["files"]]) == ("COMPLETE", [("export", 97)])
    [scanned] = headrace("scan", "crm", "out", "--json").document["goals"]
    assert (scanned["available"], [one["key"] for one in scanned["files"]]) == (97, ["out/all.csv"])
    flow_pipeline.put("crm", "out/theirs.csv", b"id,when,day\n1,31/12/2025,2025-12-31\n2,01/02/2026,01/02/26\n")
    [scanned] = headrace("scan", "crm", "out", "--json").document["goals"]
    assert [one["key"] for one in scanned["files"]] == ["out/theirs.csv", "out/all.csv"], "the newest first"
    dates = headrace("preview", "crm", "out", "--json").document
    assert dates["file"] == "s3://crm/out/theirs.csv"
    assert {one["column"]: (one["read"], one["refused"], one["fits"][:1]) for one in dates["columns"]} == {
        "when": (0, 2, ["%d/%m/%Y"]),
        "day": (1, 1, []),
    }
    assert headrace("exchange", "crm", "--json").document["exchange"][0]["exported"] == 97


@pytest.mark.spec("E1", "R1")
def test_an_export_that_cannot_be_made_fails_its_run_with_what_to_do(
    flow_pipeline: Pipeline, in_prefect: PrefectApi, domain_name: str
) -> None:
    applied(flow_pipeline, domain_name, segment="nobody")

    state, artifacts = run(export_profiles, in_prefect)

    assert state.is_failed()
    assert state.message is not None
    assert state.message.startswith(f"0 of 1 file exported. goal out: NO_SUCH_SEGMENT: Domain {domain_name} has no segment nobody")
    assert "**Failed.**" in artifacts["crm-summary"]["data"]
    [record] = runs.list_runs(flow_pipeline.store, "crm")
    assert (record.state, [(one.kind, one.state) for one in record.files]) == ("FAILED", [("export", "FAILED")])
    nothing_is_left(flow_pipeline, domain_name)
