"""Upload jobs over HTTP, by unchanged clients: boto3, and a plain PUT of the pre-signed URL (SPEC U1–U10)."""

from __future__ import annotations

import base64
import http.client
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from prometheus_client.parser import text_string_to_metric_families

from api import upload_put
from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from profile_store import audit, keys, registry, upload_jobs
from streaming.importing.run_upload import run_upload
from tests import upload_shop
from tests.api_client import READER, RETAILER
from tests.pipeline import access_to, pipeline
from tests.polling import eventually
from tests.upload_shop import PREFIX, Shop, headers_of, put, running_shop
from tests.uploaded import BUCKET, FIELDS, HEADER


def refusal(call: Any, **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**members)
    error: Any = caught.value.response["Error"]
    return error["Code"], error["Message"]


@pytest.fixture(scope="module")
def shop(
    valkey_server: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    real = pipeline(valkey_server.url, tansu_server.bootstrap_servers, access_to(s3_server))
    with running_shop(real, tmp_path_factory.mktemp("api")) as made:
        yield made


def uploaded(shop: Shop, data: bytes, **more: Any) -> str:
    job_id = shop.create(**more)
    path = shop.path(job_id)
    assert put(path["Url"], data, headers_of(path["ClientToken"])) == (200, "")
    return job_id


@pytest.mark.spec("U1", "U5", "U7")
def test_a_job_from_its_creation_to_its_result(shop: Shop) -> None:
    before = datetime.now(UTC)
    job_id = shop.create(DataExpiry=90, DisplayName="asset-data-import")
    assert len(job_id) == 32
    created = shop.get(job_id)
    assert created["Status"] == "CREATED"
    assert created["Fields"]["asset_id"] == FIELDS["asset_id"]
    assert "ResultsSummary" not in created
    assert "CompletedAt" not in created
    path = shop.path(job_id)
    assert timedelta(minutes=14) < path["ValidUntil"] - before < timedelta(minutes=16)
    assert len(base64.b64decode(path["ClientToken"])) == 32
    data = f"{HEADER}A1,Laptop,,,1200,\nA2,Server,bad,,5000,\nA3,Monitor,,,300,\n".encode()
    assert put(path["Url"], data, headers_of(path["ClientToken"])) == (200, "")
    shop.start(job_id)
    done = shop.ended(job_id)
    assert done["Status"] == "PARTIALLY_SUCCEEDED"
    assert done["ResultsSummary"] == {"UpdatedRecords": 0, "CreatedRecords": 2, "FailedRecords": 1}
    assert (done["UniqueKey"], done["DataExpiry"], done["DisplayName"]) == ("asset_id", 90, "asset-data-import")
    assert before - timedelta(seconds=1) < done["CreatedAt"] < done["CompletedAt"]
    found = shop.client.search_profiles(DomainName=shop.domain, KeyName="AccountNumber", Values=["A1"])["Items"]
    assert [one["AdditionalInformation"] for one in found] == ["Laptop"]
    assert found[0]["Attributes"] == {"price": "1200"}
    said = [one.what for one in audit.read(shop.api.services.store) if one.detail.get("JobId") == job_id or one.detail.get("job") == job_id]
    assert {"GetUploadJobPath", "PutUpload", "StartUploadJob", "end upload job"} <= set(said)


@pytest.mark.spec("U5")
def test_a_put_that_is_not_as_it_must_be_is_forbidden(shop: Shop) -> None:
    job_id = shop.create()
    path, other = shop.path(job_id), shop.path(shop.create())
    good, url = headers_of(path["ClientToken"]), path["Url"]
    data = HEADER.encode()
    wrong: list[tuple[str, dict[str, str]]] = [
        *((url, {name: value for name, value in good.items() if name != left}) for left in good),
        (url, good | {f"{PREFIX}algorithm": "AES128"}),
        (url, good | {f"{PREFIX}key-MD5": base64.b64encode(bytes(16)).decode()}),
        (url, headers_of(other["ClientToken"])),
        (url, headers_of(shop.path(job_id)["ClientToken"])),
        (other["Url"].replace(urlsplit(other["Url"]).path, urlsplit(url).path), headers_of(other["ClientToken"])),
        (url.replace("X-Headrace-Expires=1", "X-Headrace-Expires=2"), good),
        (url[:-1], good),
        (url.partition("?")[0], good),
    ]
    for at, headers in wrong:
        status, said = put(at, data, headers)
        assert (status, "<Code>SignatureDoesNotMatch</Code>" in said) == (403, True), at
    assert put(url, data, good, method="POST")[0] in (403, 404, 405)
    code, said = refusal(shop.client.start_upload_job, DomainName=shop.domain, JobId=job_id)
    assert code == "BadRequestException"
    assert "Nothing was uploaded" in said


@pytest.mark.spec("U6")
def test_twice_started_is_one_import_and_a_late_file_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(upload_shop, "run_upload", lambda *about: go_on.wait(60) and run_upload(*about))
    job_id = uploaded(shop, (HEADER + "".join(f"B{n},Laptop,,,,\n" for n in range(5_000))).encode())
    late = shop.path(job_id)
    shop.start(job_id)
    # By another principal: of one and the same a call that is made again within a second is the same request.
    shop.api.client(RETAILER).start_upload_job(DomainName=shop.domain, JobId=job_id)
    assert put(late["Url"], HEADER.encode(), headers_of(late["ClientToken"]))[0] == 403
    go_on.set()
    assert shop.ended(job_id)["ResultsSummary"] == {"UpdatedRecords": 0, "CreatedRecords": 5_000, "FailedRecords": 0}
    assert [one.parameters["job_id"] for one in shop.launcher.started].count(job_id) == 2
    for call in (shop.client.start_upload_job, shop.client.stop_upload_job, shop.client.get_upload_job_path):
        assert refusal(call, DomainName=shop.domain, JobId=job_id)[0] == "BadRequestException"


@pytest.mark.spec("U8")
def test_a_missing_column_fails_the_job(shop: Shop) -> None:
    job_id = uploaded(shop, b"asset_id,mail,phone,price,city\nC1,,,,\n")
    shop.start(job_id)
    done = shop.ended(job_id)
    assert (done["Status"], done["StatusReason"]) == ("FAILED", "VALIDATION_FAILURE")


@pytest.mark.spec("U10")
def test_a_file_that_is_too_large_is_refused_before_it_is_read(shop: Shop) -> None:
    job_id = shop.create()
    path = shop.path(job_id)
    parts = urlsplit(path["Url"])
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    connection.putrequest("PUT", f"{parts.path}?{parts.query}")
    for name, value in {**headers_of(path["ClientToken"]), "content-length": str(5 * 1024**3 + 1)}.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, b"<Code>EntityTooLarge</Code>" in answer.read()) == (400, True)
    connection.close()


@pytest.mark.spec("U5", "U10")
def test_an_upload_that_breaks_off_is_none(shop: Shop) -> None:
    job_id = shop.create()
    path = shop.path(job_id)
    parts = urlsplit(path["Url"])
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    connection.putrequest("PUT", f"{parts.path}?{parts.query}")
    for name, value in {**headers_of(path["ClientToken"]), "content-length": "20000000"}.items():
        connection.putheader(name, value)
    connection.endheaders(HEADER.encode() + b"x" * 12_000_000)

    def is_let_in() -> bool:
        noted = [one for one in audit.read(shop.api.services.store) if one.what == upload_put.OPERATION]
        return any(one.detail["job"] == job_id for one in noted)

    eventually(is_let_in, within=10, what="it is let in")
    connection.close()
    held = f"_headrace/uploads/{shop.domain}/{job_id}/"
    eventually(lambda: shop.api.services.objects.held(BUCKET, held) == [], within=10, what="nothing is kept")
    assert refusal(shop.client.start_upload_job, DomainName=shop.domain, JobId=job_id)[0] == "BadRequestException"
    again = shop.path(job_id)
    assert put(again["Url"], HEADER.encode(), headers_of(again["ClientToken"]))[0] == 200


@pytest.mark.spec("U3", "U4")
def test_what_is_wrong_with_a_job_is_said_when_it_is_created(shop: Shop) -> None:
    def create(fields: dict[str, Any], key: str) -> tuple[str, str]:
        return refusal(shop.client.create_upload_job, DomainName=shop.domain, DisplayName="x", Fields=fields, UniqueKey=key)

    code, said = create({"a": {"Source": "a", "Target": "_profile.AssetName"}}, "a")
    assert code == "BadRequestException"
    assert said.startswith("Provided nested target is invalid. Found _profile.AssetName, expected [AccountNumber, BusinessName, FirstName,")
    assert create(FIELDS, "nobody")[0] == "BadRequestException"
    assert refusal(shop.client.create_upload_job, DomainName="nowhere", DisplayName="x", Fields=FIELDS, UniqueKey="mail")[0] == (
        "ResourceNotFoundException"
    )


@pytest.mark.spec("U2")
@pytest.mark.parametrize(
    "wrong",
    [
        {"DomainName": "a.b"},
        {"DomainName": "d" * 65},
        {"DisplayName": ""},
        {"DisplayName": "x" * 256},
        {"DataExpiry": 0},
        {"DataExpiry": 1099},
        {"UniqueKey": "x" * 1001},
        {"Fields": {"a b": FIELDS["mail"]}},
        {"Fields": {"mail": {**FIELDS["mail"], "ContentType": "DATE"}}},
    ],
    ids=str,
)
def test_what_the_model_does_not_allow_is_refused(shop: Shop, wrong: dict[str, Any]) -> None:
    client = shop.api.client(parameter_validation=False)
    asked = {"DomainName": shop.domain, "DisplayName": "x", "Fields": FIELDS, "UniqueKey": "mail"}
    assert refusal(client.create_upload_job, **asked | wrong)[0] == "BadRequestException"


@pytest.mark.spec("U2")
def test_profiles_are_kept_for_14_days_unless_somebody_says_how_long(shop: Shop) -> None:
    assert shop.get(shop.create())["DataExpiry"] == 14
    assert [shop.get(shop.create(DataExpiry=days))["DataExpiry"] for days in (1, 1098)] == [1, 1098]


@pytest.mark.spec("U7")
def test_a_job_is_stopped(shop: Shop) -> None:
    job_id = uploaded(shop, HEADER.encode())
    shop.client.stop_upload_job(DomainName=shop.domain, JobId=job_id)
    stopped = shop.get(job_id)
    assert stopped["Status"] == "STOPPED"
    assert stopped["ResultsSummary"] == {"UpdatedRecords": 0, "CreatedRecords": 0, "FailedRecords": 0}
    assert shop.api.services.objects.held(BUCKET, f"_headrace/uploads/{shop.domain}/{job_id}/") == []
    shop.client.stop_upload_job(DomainName=shop.domain, JobId=job_id)
    running = uploaded(shop, (HEADER + "".join(f"D{n},Laptop,,,,\n" for n in range(60_000))).encode())
    shop.start(running)
    shop.client.stop_upload_job(DomainName=shop.domain, JobId=running)
    done = shop.ended(running)
    assert done["Status"] == "STOPPED"
    assert sum(done["ResultsSummary"].values()) < 60_000


@pytest.mark.spec("U1")
def test_jobs_are_listed_in_pages_and_are_their_domains(shop: Shop) -> None:
    made = [shop.create(DisplayName=f"job {n}") for n in range(5)]
    found: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while not {one["JobId"] for one in found} >= set(made):
        page = shop.client.list_upload_jobs(DomainName=shop.domain, MaxResults=2, **token)
        assert len(page["Items"]) == 2
        found += page["Items"]
        token = {"NextToken": page["NextToken"]} if "NextToken" in page else {}
    assert [one["JobId"] for one in found[:5]] != []
    assert [one["CreatedAt"] for one in found] == sorted((one["CreatedAt"] for one in found), reverse=True)
    assert {one["Status"] for one in found if one["JobId"] in made} == {"CREATED"}
    other = f"{shop.domain}-2"
    shop.client.create_domain(DomainName=other, DefaultExpirationDays=30)
    if token:
        assert refusal(shop.client.list_upload_jobs, DomainName=other, **token)[0] == "BadRequestException"
    assert shop.client.list_upload_jobs(DomainName=other)["Items"] == []
    assert refusal(shop.client.get_upload_job, DomainName=other, JobId=made[0])[0] == "ResourceNotFoundException"
    assert refusal(shop.client.start_upload_job, DomainName=shop.domain, JobId="0" * 32)[0] == "ResourceNotFoundException"


@pytest.mark.spec("U12")
def test_who_may_only_read_gets_no_path(shop: Shop) -> None:
    job_id, reader = shop.create(), shop.api.client(READER)
    assert reader.get_upload_job(DomainName=shop.domain, JobId=job_id)["Status"] == "CREATED"
    asked = {"DomainName": shop.domain, "JobId": job_id}
    assert refusal(reader.start_upload_job, **asked)[0] == "AccessDeniedException"
    assert refusal(reader.stop_upload_job, **asked)[0] == "AccessDeniedException"


def watched(shop: Shop) -> dict[tuple[str, str], float]:
    """Name and labels' values of each sample → its value."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{shop.api.url}/metrics", timeout=60) as page:
        families = list(text_string_to_metric_families(page.read().decode()))
    return {(one.name, " ".join(one.labels.values())): one.value for family in families for one in family.samples}


def test_who_watches_sees_jobs_by_status_and_calls_by_operation(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.observed.LOOK_SECONDS", 60)
    store, before = shop.api.services.store, watched(shop)
    shop.create()
    running, done = uploaded(shop, HEADER.encode()), uploaded(shop, f"{HEADER}M1,Laptop,,,,\n".encode())
    shop.start(done)
    assert shop.ended(done)["Status"] == "SUCCEEDED"
    assert upload_jobs.start(store, shop.domain, running).done
    store.client.hset(keys.upload_job(shop.domain, running), "started", str(time.time() - 6_000))
    after = watched(shop)
    jobs = ("CREATED", "IN_PROGRESS", "SUCCEEDED", "STOPPED")
    assert [after["headrace_upload_jobs", one] - before["headrace_upload_jobs", one] for one in jobs] == [1, 1, 1, 0]
    every = Counter(job.status for name in registry.domain_names(store) for job in upload_jobs.every_job(store, name))
    assert {one: after["headrace_upload_jobs", one] for one in every} == every
    assert 6_000 <= after["headrace_upload_jobs_oldest_seconds", ""] < 6_100
    job = upload_jobs.find(store, shop.domain, running)
    assert job is not None
    upload_jobs.end(store, job, "FAILED", {})
    assert watched(shop)["headrace_upload_jobs_oldest_seconds", ""] < 6_000
    refusal(shop.client.get_upload_job, DomainName=shop.domain, JobId="0" * 32)
    refusal(shop.api.client(READER).stop_upload_job, DomainName=shop.domain, JobId=done)
    last = watched(shop)
    assert last["headrace_api_calls_total", "GetUploadJob 404"] == after.get(("headrace_api_calls_total", "GetUploadJob 404"), 0) + 1
    assert last["headrace_api_calls_total", "StopUploadJob 403"] >= 1
    assert last["headrace_api_refused_total", "AccessDeniedException"] >= 1


def test_a_domain_with_a_job_in_progress_stays(shop: Shop) -> None:
    name = f"{shop.domain}-3"
    shop.client.create_domain(DomainName=name, DefaultExpirationDays=30)
    other = replace(shop, domain=name)
    started, waiting = uploaded(other, HEADER.encode()), uploaded(other, HEADER.encode())
    assert upload_jobs.start(shop.api.services.store, name, started).done
    assert "in progress" in refusal(shop.client.delete_domain, DomainName=name)[1]
    job = upload_jobs.find(shop.api.services.store, name, started)
    assert job is not None
    upload_jobs.end(shop.api.services.store, job, "FAILED", {})
    shop.client.delete_domain(DomainName=name)
    assert shop.api.services.objects.held(BUCKET, f"_headrace/uploads/{name}/{waiting}/") == []
