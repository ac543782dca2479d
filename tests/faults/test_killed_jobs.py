"""An upload job whose processes are killed before and after every step: it ends once, with exact counts, and leaves nothing of what was uploaded. And an
expiry, which the next one finishes (SPEC U7, U11, B6)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError

from deployments.embedded.broker import BrokerServer
from deployments.embedded.processes import free_port
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.settings import UploadSettings
from profile_store import sequence, upload_jobs
from tests.api_client import MASTER_KEY, write_principals
from tests.faults.api_process import ApiOptions, launched
from tests.faults.flow import FlowOptions
from tests.faults.job_client import client_at, is_cut, put_file
from tests.faults.jobs import EXPIRE, LOOK, UPLOAD
from tests.faults.nursery import Nursery, Process
from tests.faults.rounds import KILLED, OF_EXPIRIES, OF_JOBS, OF_THE_API, points
from tests.faults.strikes import STEPS_OF_EXPIRIES
from tests.faults.uploading import API
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually
from tests.upload_shop import headers_of
from tests.uploaded import FIELDS, Uploads

STEPS_OF_IMPORTS = ("published", "result", "drop_import", "end")
"""Of those that every import has: the ones at which it is decided who knows of its end. Others: test_failpoints.py."""
ROWS = 40
SECONDS = 60


@dataclass
class Processes:
    """Runs of the product's flows and its API."""

    uploads: Uploads
    nursery: Nursery
    directory: Path
    environment: dict[str, str]

    def flow(self, task: str, failpoint: str = "") -> int | None:
        """Its exit code."""
        options = FlowOptions(str(self.directory), 10, 1, None, publish_twice=False, failpoint=failpoint, patience=0.0)
        log = self.directory / "flows.log"
        process = self.nursery.start("tests.faults.flow", [task, json.dumps(asdict(options))], self.environment, log)
        eventually(lambda: not process.running, within=SECONDS, what=f"{task} ends; {log}")
        return process.poll()

    def api(self, failpoint: str = "") -> Process:
        options = ApiOptions(str(self.directory), 1, failpoint)
        return self.nursery.start(API, [json.dumps(asdict(options))], self.environment, self.directory / "api.log")

    def look_after(self, uploads: Uploads, job_id: str) -> None:
        """Until the job is over, and nobody has to look after it. First the lease of a run that died has to end."""
        eventually(lambda: not is_leased(uploads, job_id), within=10, what="nobody drives it")

        def settled() -> bool:
            assert self.flow(LOOK) == 0, (self.directory / "flows.log").read_text()[-2_000:]
            return not upload_jobs.open_jobs(uploads.real.store, uploads.domain)

        eventually(settled, within=SECONDS, what=f"job {job_id} is over")


def is_leased(uploads: Uploads, job_id: str) -> bool:
    return sequence.is_leased(uploads.real.store, uploads.domain, uploads.found(job_id).import_seq)


@pytest.fixture
def processes(
    valkey: ValkeyServer, tansu_server: BrokerServer, empty_s3: S3Server, domain_name: str, tmp_path: Path
) -> Iterator[Processes]:
    real = pipeline(valkey.url, tansu_server.bootstrap_servers, access_to(empty_s3))
    real.make_bucket(domain_name)
    uploads = Uploads(real, domain_name, UploadSettings(bucket=domain_name), master_key=MASTER_KEY.get_secret_value())
    uploads.make_domain(2)
    environment = real.environment() | {
        "HEADRACE_API_PORT": str(free_port()),
        "HEADRACE_API_PRINCIPALS_FILE": str(write_principals(tmp_path)),
        "HEADRACE_API_MASTER_KEY": MASTER_KEY.get_secret_value(),
        "HEADRACE_UPLOADS_BUCKET": domain_name,
    }
    with Nursery(tmp_path / "nursery.log") as nursery:
        yield Processes(uploads, nursery, tmp_path, environment)


def fields_of(number: int) -> dict[str, Any]:
    """With an attribute that no job before had: the schema changes."""
    return {**FIELDS, "price": {**FIELDS["price"], "Target": f"_profile.Attributes.price{number}"}}


@pytest.mark.slow
@pytest.mark.spec("U7", "B1")
def test_a_run_that_is_killed_at_any_step_of_a_job(processes: Processes) -> None:
    """`define_properties` is a step of a domain's first job, so there is a domain for each kill at it."""
    first = processes.uploads
    firsts = [point for point in points(OF_JOBS) if point.startswith("define_properties")]
    others = [point for point in points((*OF_JOBS, *STEPS_OF_IMPORTS)) if point not in firsts]
    domains = [
        (Uploads(first.real, f"{first.domain}{number}", first.settings, master_key=first.master_key), [point])
        for number, point in enumerate(firsts)
    ]
    for uploads, _ in domains:
        uploads.make_domain(2)
    with ExitStack() as stack:
        for uploads, mine in [*domains, (first, others)]:
            stack.enter_context(uploads.real.workers(uploads.domain))
            for number, point in enumerate(mine):
                job_id = uploads.started(uploads.rows(ROWS, first=10 * number), fields=fields_of(number))
                assert processes.flow(f"{UPLOAD}{uploads.domain}:{job_id}", point) == KILLED, point
                processes.look_after(uploads, job_id)
                check_end(uploads, job_id, created=10 if number else ROWS, updated=ROWS - 10 if number else 0)
            assert len(uploads.profiles()) == ROWS + 10 * (len(mine) - 1)


@pytest.mark.slow
@pytest.mark.spec("U7", "B1")
def test_a_run_that_is_killed_while_it_stops_a_job(processes: Processes) -> None:
    uploads = processes.uploads
    with uploads.real.workers(uploads.domain):
        for number, point in enumerate(points(("close_rows", "result", "end_upload_job"))):
            before = len(uploads.profiles())
            job_id = uploads.started(uploads.rows(ROWS, first=ROWS * number))
            assert processes.flow(f"{UPLOAD}{uploads.domain}:{job_id}", "publish:after:2") == KILLED
            assert upload_jobs.ask_stop(uploads.real.store, uploads.domain, job_id).done
            assert processes.flow(f"{UPLOAD}{uploads.domain}:{job_id}", point) == KILLED, point
            processes.look_after(uploads, job_id)
            job = uploads.found(job_id)
            applied = len(uploads.profiles()) - before
            assert (job.status, dict(job.results)) == ("STOPPED", {"CreatedRecords": applied, "UpdatedRecords": 0, "FailedRecords": 0}), (
                point
            )
            assert applied < ROWS, point
            assert uploads.held() == []


@pytest.mark.slow
@pytest.mark.spec("U7")
def test_an_api_that_is_killed_at_any_step_of_a_job(processes: Processes) -> None:
    uploads = processes.uploads
    url = f"http://127.0.0.1:{processes.environment['HEADRACE_API_PORT']}"
    with uploads.real.workers(uploads.domain):
        for number, point in enumerate([*points(OF_THE_API), *points(("end_upload_job", "settle_upload_job"))]):
            calls = Calls(processes, url, point)
            unstarted = point.startswith(("end", "settle"))
            asked = {"DisplayName": point, "Fields": FIELDS, "UniqueKey": "asset_id"}
            named = {"DomainName": uploads.domain, "JobId": calls.make("create_upload_job", DomainName=uploads.domain, **asked)["JobId"]}
            path = calls.make("get_upload_job_path", **named)
            calls.upload(path, uploads.rows(ROWS, first=ROWS * number))
            if unstarted:
                calls.make("stop_upload_job", **named)
            else:
                calls.make("start_upload_job", **named)
                assert [one.parameters["job_id"] for one in launched(processes.directory)][-1] == named["JobId"], point
            if point.startswith("ask_stop"):
                calls.make("stop_upload_job", **named)
            assert calls.deaths == 1, point
            calls.end()
            processes.look_after(uploads, named["JobId"])
            stopped = unstarted or point.startswith("ask_stop")
            check_end(uploads, named["JobId"], created=0 if stopped else ROWS, updated=0)


@dataclass
class Calls:
    """Of a client whose API ends itself once; it makes the call again that had no answer."""

    processes: Processes
    url: str
    point: str
    deaths: int = 0

    def __post_init__(self) -> None:
        self._api = self._started(self.point)

    def make(self, operation: str, **members: Any) -> dict[str, Any]:
        def call() -> dict[str, Any] | None:
            try:
                found: dict[str, Any] = getattr(client_at(self.url), operation)(**members)
            except BotoCoreError:
                return None
            return None if is_cut(found) else found

        return self._answered(call)

    def upload(self, path: dict[str, Any], data: bytes) -> None:
        self._answered(lambda: {"status": 200} if put_file(path["Url"], data, headers_of(path["ClientToken"])) == 200 else None)

    def end(self) -> None:
        self._api.kill()

    def _answered(self, attempt: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
        found = attempt()
        if found is None:
            eventually(lambda: not self._api.running, within=10, what="the API is killed")
            assert self._api.poll() == KILLED, self._api.log.read_text()[-2_000:]
            self.deaths += 1
            self._api = self._started("")
            found = attempt()
        assert found is not None, f"{self.point}: {self._api.log}"
        return found

    def _started(self, failpoint: str) -> Process:
        """And listening."""
        api = self.processes.api(failpoint)

        def listens() -> bool:
            try:
                client_at(self.url).list_domains()
            except BotoCoreError:
                return False
            return True

        eventually(listens, within=30, what="the API answers")
        return api


def check_end(uploads: Uploads, job_id: str, *, created: int, updated: int) -> None:
    job = uploads.found(job_id)
    expected = {"CreatedRecords": created, "UpdatedRecords": updated, "FailedRecords": 0}
    assert (job.status, dict(job.results)) == ("SUCCEEDED" if created else "STOPPED", expected)
    assert job.sealed_key == ""
    assert uploads.held() == []
    imports = [
        sequence.load_needed(uploads.real.store, uploads.domain, number) for number in range(1, _last(uploads.real, uploads.domain) + 1)
    ]
    assert [one.upload for one in imports].count(job_id) == (created > 0)


def _last(real: Pipeline, domain: str) -> int:
    last = sequence.last_number(real.store, domain)
    assert sequence.domain_floor(real.store, domain) == last
    return last


@pytest.mark.slow
@pytest.mark.spec("U11", "B6")
def test_an_expiry_that_is_killed_at_any_step_is_finished_by_the_next(processes: Processes) -> None:
    assert set(OF_EXPIRIES) <= set(STEPS_OF_EXPIRIES)
    uploads = processes.uploads
    with uploads.real.workers(uploads.domain):
        assert uploads.run(uploads.started(uploads.rows(ROWS), DataExpiry=900)).status == "SUCCEEDED"
        stay = uploads.real.profiles(uploads.domain)
        for days, point in enumerate(points(STEPS_OF_EXPIRIES), 1):
            # Each a day later than the last expiry, which looked so far ahead.
            job = uploads.run(uploads.started(uploads.rows(ROWS, first=ROWS), DataExpiry=days))
            assert job.results["CreatedRecords"] == ROWS, point
            assert processes.flow(f"{EXPIRE}{uploads.domain}:{days}", point) == KILLED, point
            assert processes.flow(f"{EXPIRE}{uploads.domain}:{days}") == 0, point
            _last(uploads.real, uploads.domain)
            assert uploads.real.profiles(uploads.domain) == stay, point
            assert set(uploads.real.holders(uploads.domain)) == set(stay), point
