"""Upload jobs and expiry as Prefect flows, in this process, against a real Prefect server (SPEC U6, U7, U11)."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from api.launcher import PrefectLauncher
from api.upload_operations import DEPLOYMENT
from deployments.bootstrap import bootstrap
from flows.expire_profiles import expire_profiles
from flows.run_upload_job import look_after_upload_jobs, run_upload_job
from headrace.cli.api import BUILDING
from headrace.errors import TransientError
from headrace.settings import UploadSettings
from profile_store import keys, upload_jobs
from tests.integration.prefect_api import ANSWER_SECONDS, PrefectApi
from tests.pipeline import Pipeline
from tests.uploaded import BUCKET, MASTER_KEY, Uploads


def test_the_api_starts_runs_of_deployments_and_waits_for_no_prefect(in_prefect: PrefectApi, monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap()
    monkeypatch.setattr("api.launcher.PATIENCE_SECONDS", ANSWER_SECONDS)
    launcher, job = PrefectLauncher(), uuid.uuid4().hex
    asked: dict[str, Any] = {"domain": "retail", "job_id": job}
    first = launcher.start(DEPLOYMENT, asked, f"upload-{job}")
    run = in_prefect.run(first)
    assert (run["deployment_id"], run["parameters"]) == (in_prefect.deployment(DEPLOYMENT)["id"], asked)
    assert launcher.start(DEPLOYMENT, asked, f"upload-{job}") == first
    assert launcher.start(BUILDING, {"domain": "retail"}) != launcher.start(BUILDING, {"domain": "retail"})
    with pytest.raises(TransientError, match="PREFECT_UNAVAILABLE"):
        launcher.start("run-upload-job/nobody", asked)
    monkeypatch.setattr("api.launcher.PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr("api.launcher.TRIES_MORE", 0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/api"
        began = time.monotonic()
        with temporary_settings({PREFECT_API_URL: url}), pytest.raises(TransientError, match="PREFECT_UNAVAILABLE"):
            launcher.start(DEPLOYMENT, asked)
        assert time.monotonic() - began < 60


@pytest.fixture
def uploads(flow_pipeline: Pipeline, domain_name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Uploads]:
    monkeypatch.setenv("HEADRACE_API_MASTER_KEY", MASTER_KEY)
    flow_pipeline.make_bucket(BUCKET)
    made = Uploads(flow_pipeline, domain_name, UploadSettings())
    made.make_domain()
    with flow_pipeline.workers(domain_name):
        yield made


def pretend(uploads: Uploads, job_id: str, **fields: float) -> None:
    """That something happened at another time."""
    for name, moment in fields.items():
        uploads.real.store.client.hset(keys.upload_job(uploads.domain, job_id), name, str(moment))


@pytest.mark.spec("U7", "U11")
def test_jobs_run_are_looked_after_and_their_profiles_expire(uploads: Uploads, in_prefect: PrefectApi) -> None:
    first = uploads.started(uploads.rows(20))
    state: Any = run_upload_job(uploads.domain, first, return_state=True)
    assert state.name == "Completed"
    assert state.message.endswith("SUCCEEDED. 0 updated, 20 created, 0 failed.")

    state = look_after_upload_jobs(return_state=True)
    assert (state.name, state.message) == ("Completed", "Every job is looked after.")
    lost, fresh = uploads.started(uploads.rows(25)), uploads.started(uploads.rows(1))
    never = uploads.job()
    uploads.upload(never, uploads.rows(1))
    unnoted = uploads.job()  # whoever received its file died when it was whole
    assert upload_jobs.expect_upload(uploads.real.store, uploads.domain, unnoted).done
    uploads.real.put(BUCKET, f"{uploads.settings.directory_of(uploads.domain, unnoted)}x.csv", b"sealed")
    pretend(uploads, lost, started=time.time() - 600)
    for one in (never, unnoted):
        pretend(uploads, one, uploaded=time.time() - 100_000)
    state = look_after_upload_jobs(return_state=True)
    assert state.message.endswith("SUCCEEDED. 20 updated, 5 created, 0 failed.")
    assert uploads.found(lost).status == "SUCCEEDED"
    assert uploads.found(fresh).status == "IN_PROGRESS"  # it has a run, which has just been started
    assert (uploads.found(never).status, uploads.found(never).source) == ("CREATED", None)
    assert len(uploads.held()) == 1

    bad = uploads.started(b"nothing\n1\n")
    state = run_upload_job(uploads.domain, bad, return_state=True)
    assert state.name == "Failed"
    assert "Source field 'asset_id' not found in CSV headers" in state.message

    state = expire_profiles(return_state=True)
    assert state.message == "Nothing has expired."
    old = uploads.started(uploads.rows(3, first=100), DataExpiry=1)
    pretend(uploads, old, started=time.time() - 2 * 24 * 60 * 60)
    assert run_upload_job(uploads.domain, old, return_state=True).name == "Completed"
    assert len(uploads.profiles()) == 28
    state = expire_profiles(return_state=True)
    assert state.message == f"Expired: 3 of {uploads.domain}."
    assert len(uploads.profiles()) == 25
    assert upload_jobs.open_jobs(uploads.real.store, uploads.domain) == [uploads.found(fresh)]
