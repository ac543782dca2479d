"""A domain that is deleted while its upload jobs are called: one of the two comes first, and nothing is left in between (SPEC U7, U14)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.standard_fields import standard_domain
from profile_store import retirement, sequence, upload_jobs
from streaming.serving import DomainEngine
from tests.contract.profile_stores import registration_of, work_of
from tests.pipeline import access_to, pipeline
from tests.upload_shop import Shop, headers_of, put, running_shop
from tests.uploaded import BUCKET, FIELDS, HEADER

pytestmark = pytest.mark.spec("U7", "U14")

ROW = f"{HEADER}A1,Laptop,,,,\n".encode()


@pytest.fixture(scope="module")
def made(
    valkey_server: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    real = pipeline(valkey_server.url, tansu_server.bootstrap_servers, access_to(s3_server))
    with running_shop(real, tmp_path_factory.mktemp("api"), partitions=1) as shop:
        yield shop


@pytest.fixture
def shop(made: Shop, domain_name: str) -> Shop:
    """With a domain of the test's own, which nobody works on."""
    made.api.services.engine.create_domain(standard_domain(domain_name, 1), {})
    return replace(made, domain=domain_name)


def code(call: Callable[..., Any], **members: Any) -> str:
    """'' where it is done."""
    try:
        call(**members)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def held(shop: Shop) -> list[str]:
    return [one.version.key for one in shop.api.services.objects.held(BUCKET, f"_headrace/uploads/{shop.domain}/")]


def uploading(shop: Shop, job_id: str) -> Callable[[], int]:
    """Puts a file by a URL that is made now: its status."""
    path = shop.path(job_id)
    return lambda: put(path["Url"], ROW, headers_of(path["ClientToken"]))[0]


def amid(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, act: Callable[[], Any]) -> None:
    """`act` is done right before `place.name` is, the first time."""
    inner, acts = getattr(place, name), [act]

    def then(*arguments: Any) -> Any:
        if acts:
            acts.pop()()
        return inner(*arguments)

    monkeypatch.setattr(place, name, then)


def test_a_job_that_starts_while_its_domain_is_deleted_keeps_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the look at the jobs that there are."""
    job_id, late = shop.create(), shop.create()
    assert uploading(shop, job_id)() == 200
    store, put_late = shop.api.services.store, uploading(shop, late)
    amid(monkeypatch, upload_jobs, "end", lambda: upload_jobs.start(store, shop.domain, job_id))
    assert code(shop.client.delete_domain, DomainName=shop.domain) == "BadRequestException"
    assert shop.get(job_id)["Status"] == "IN_PROGRESS"
    assert len(held(shop)) == 1
    job = upload_jobs.find(store, shop.domain, job_id)
    assert job is not None
    upload_jobs.end(store, job, "FAILED", {})
    amid(monkeypatch, DomainEngine, "delete_domain", put_late)
    assert code(shop.client.delete_domain, DomainName=shop.domain) == "BadRequestException"
    assert upload_jobs.start(store, shop.domain, late).done
    stopped = upload_jobs.find(store, shop.domain, late)
    assert stopped is not None
    upload_jobs.end(store, stopped, "FAILED", {})
    assert code(shop.client.delete_domain, DomainName=shop.domain) == ""
    assert held(shop) == []


def test_who_comes_when_the_domain_has_gone_leaves_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the end of the domain, before its jobs are dropped."""
    waiting, said = shop.create(), list[Any]()
    services = shop.api.services
    put_now = uploading(shop, waiting)
    named = {"DomainName": shop.domain}

    def come() -> None:
        said.append(put_now())
        said.append(upload_jobs.start(services.store, shop.domain, waiting).status)
        said.append(code(shop.client.create_upload_job, **named, DisplayName="x", Fields=FIELDS, UniqueKey="asset_id"))

    amid(monkeypatch, retirement, "_drop", come)
    shop.client.delete_domain(DomainName=shop.domain)
    assert said == [403, None, "ResourceNotFoundException"]
    assert put_now() == 403
    assert code(shop.client.start_upload_job, **named, JobId=waiting) == "ResourceNotFoundException"
    assert held(shop) == []
    assert not list(services.store.client.scan_iter(match=f"{{{shop.domain}}}:upload-job*"))


def test_a_file_on_its_way_is_none_when_its_domain_has_gone(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let in while there was one, whole when there is none; nor is it another's domain of the same name."""
    job_id = shop.create()
    put_now = uploading(shop, job_id)

    def gone() -> None:
        shop.client.delete_domain(DomainName=shop.domain)
        shop.client.create_domain(DomainName=shop.domain, DefaultExpirationDays=1)

    amid(monkeypatch, upload_jobs, "note_upload", gone)
    assert put_now() == 403
    assert held(shop) == []
    assert code(shop.client.create_upload_job, DomainName=shop.domain, DisplayName="x", Fields=FIELDS, UniqueKey="asset_id") == ""


def test_what_an_ended_job_left_goes_with_its_domain(shop: Shop) -> None:
    job_id = shop.create()
    assert uploading(shop, job_id)() == 200
    store = shop.api.services.store
    assert upload_jobs.start(store, shop.domain, job_id).done
    job = upload_jobs.find(store, shop.domain, job_id)
    assert job is not None
    upload_jobs.end(store, job, "FAILED", {})
    assert len(held(shop)) == 1
    shop.client.delete_domain(DomainName=shop.domain)
    assert held(shop) == []


def test_a_job_of_a_domain_that_has_just_gone_is_none(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"DomainName": shop.domain, "DisplayName": "x", "Fields": FIELDS, "UniqueKey": "asset_id"}
    amid(monkeypatch, upload_jobs, "create", lambda: shop.client.delete_domain(DomainName=shop.domain))
    assert code(shop.client.create_upload_job, **asked) == "ResourceNotFoundException"
    assert not list(shop.api.services.store.client.scan_iter(match=f"{{{shop.domain}}}:upload-job*"))


def test_a_refused_deletion_leaves_its_jobs_as_they_were(shop: Shop) -> None:
    """An import of the domain is not over; the job that waits can be started still."""
    store, job_id = shop.api.services.store, shop.create()
    assert uploading(shop, job_id)() == 200
    order = replace(registration_of(), domain=shop.domain)
    sequence.register(store, order, work_of(order))
    assert code(shop.client.delete_domain, DomainName=shop.domain) == "BadRequestException"
    assert shop.get(job_id)["Status"] == "CREATED"
    assert len(held(shop)) == 1
    assert code(shop.client.start_upload_job, DomainName=shop.domain, JobId=job_id) == ""
