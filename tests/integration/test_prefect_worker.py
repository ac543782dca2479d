"""Runs that a real Prefect worker starts: their processes are killed, and the next run finishes what they began (SPEC B1)."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from api.upload_operations import DEPLOYMENT
from headrace.merge import Profile, import_rows
from headrace.settings import UploadSettings
from profile_store import registry, runs
from tests.integration.prefect_stack import PrefectStack
from tests.polling import eventually
from tests.shop import as_csv, customers, plan_in, purchases, shop
from tests.uploaded import BUCKET, Uploads

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SILENCE = timedelta(seconds=15)
CRASH_SECONDS = SILENCE.total_seconds() + 25
"""Prefect looks every 5 seconds whether something has been silent for too long; the rest is for a busy machine."""

TABLE = purchases(2_000)


def begun(prefect_stack: PrefectStack, name: str) -> str:
    """A run that has published its file and waits: there is no merge worker. Its id; domain and connection are called `name`."""
    real, api = prefect_stack.pipeline, prefect_stack.api
    source = {"bucket": "crm", "directory": f"{name}/"}
    prefect_stack.deploy(real.apply(shop(name), customers(name, source=source), connection=name))
    real.put("crm", f"{name}/a.csv", as_csv(TABLE))
    run_id = api.start(f"import-profiles/{name}")
    eventually(
        lambda: "0 of 2,000 rows ·" in str(api.artifacts(run_id).get(f"{name}-progress", {}).get("description")),
        within=60,
        what="the run has published the file and waits for outcomes",
    )
    return run_id


def process_of(run_id: str) -> int:
    """The flow's own process: the one that the Prefect worker gave this run's id."""
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it has ended meanwhile, or is somebody else's
            if f"PREFECT__FLOW_RUN_ID={run_id}".encode() in environment.read_bytes().split(b"\0"):
                return int(environment.parent.name)
    raise AssertionError(f"no process runs flow run {run_id}")


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finding another process by its environment needs Linux's /proc")
def test_a_flow_that_is_killed_has_crashed_at_once(prefect_stack: PrefectStack, domain_name: str) -> None:
    """Its Prefect worker tells the server."""
    run_id = begun(prefect_stack, domain_name)
    assert prefect_stack.api.run(run_id)["state_type"] == "RUNNING"

    os.kill(process_of(run_id), signal.SIGKILL)

    state = prefect_stack.api.finished(run_id, within=30)["state"]
    assert state["type"] == "CRASHED"
    assert "fell silent" not in str(state["message"]), "that is what its server finds out later"


@pytest.mark.spec("S5")
def test_segments_are_built_and_proven_by_their_deployments(prefect_stack: PrefectStack, domain_name: str) -> None:
    """What they do is tested in test_prefect_segments.py: here a Prefect worker finds the flows, and settings reach them."""
    real, api = prefect_stack.pipeline, prefect_stack.api
    real.apply(shop(domain_name), customers(domain_name), connection=domain_name)
    rich = {"property": "total", "comparison": "greater_than", "values": ["20"]}
    real.define_segments(domain_name, {"name": "rich", "groups": [{"dimensions": [rich]}]})
    started = [api.start(f"{name}/all-domains", domain=domain_name) for name in ("materialize-segments", "prove-segments")]
    assert [api.finished(one, within=90)["state"]["message"] for one in started] == [
        "Nothing was to be built.",
        "1 segments, 0 profiles: no drift.",
    ]


@pytest.mark.spec("U6", "U7")
def test_a_job_that_the_api_starts_is_run_once(prefect_stack: PrefectStack, domain_name: str) -> None:
    real = prefect_stack.pipeline
    uploads = Uploads(real, domain_name, UploadSettings(), master_key=prefect_stack.stack.environment()["HEADRACE_API_MASTER_KEY"])
    real.make_bucket(BUCKET)
    uploads.make_domain()
    job = uploads.started(uploads.rows(100))
    asked = (DEPLOYMENT, {"domain": domain_name, "job_id": job}, f"upload-{job}")
    with prefect_stack.merging():
        run_id = prefect_stack.start_as_the_api(*asked)
        assert prefect_stack.start_as_the_api(*asked) == run_id
        ended = prefect_stack.api.finished(run_id, within=90)
    assert ended["state"]["message"].endswith("SUCCEEDED. 0 updated, 100 created, 0 failed.")
    assert uploads.found(job).status == "SUCCEEDED"


@pytest.mark.spec("B1", "R1", "R4")
def test_what_a_lost_machine_began_crashes_in_time_and_the_next_run_finishes_it(prefect_stack: PrefectStack, domain_name: str) -> None:
    real, api = prefect_stack.pipeline, prefect_stack.api
    with prefect_stack.runs_crash_after(SILENCE):
        lost = begun(prefect_stack, domain_name)
        prefect_stack.lose_the_machine_of_the_flow()
        crashed = api.finished(lost, within=CRASH_SECONDS)
    assert crashed["state_type"] == "CRASHED"
    assert "fell silent" in crashed["state"]["message"]

    prefect_stack.start_prefect_worker()
    with prefect_stack.merging():
        taken_up = api.finished(api.start(f"import-profiles/{domain_name}"), within=120)

    assert taken_up["state_type"] == "COMPLETED", taken_up["state"]["message"]
    oracle: dict[bytes, Profile] = {}
    goal = registry.get_connection(real.store, domain_name)
    outcomes = import_rows(oracle, TABLE, plan_in(real, goal)).outcomes
    assert real.profiles(domain_name) == oracle
    after, before = runs.list_runs(real.store, domain_name)
    assert [(file.import_seq, file.counts) for file in after.files] == [(1, outcomes)]
    assert (before.run_id, before.state, before.reason) == (lost, "FAILED", "The run crashed; the next one has taken its work up.")
