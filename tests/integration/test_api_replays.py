"""A call that somebody has read on its way, sent once more (SPEC U12)."""

from __future__ import annotations

import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.standard_fields import standard_domain
from profile_store import upload_jobs
from tests.api_client import ADMIN, SECRETS, RunningApi, running_api
from tests.pipeline import access_to, pipeline
from tests.polling import eventually
from tests.uploaded import FIELDS

pytestmark = pytest.mark.spec("U12")

DOMAIN = "replayed"
REPLAYED, THROTTLED = (403, "InvalidSignatureException"), (429, "ThrottlingException")


@pytest.fixture(scope="module")
def api(
    valkey_server: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningApi]:
    real = pipeline(valkey_server.url, tansu_server.bootstrap_servers, access_to(s3_server))
    with running_api(real, tmp_path_factory.mktemp("api"), partitions=1) as running:
        running.services.engine.create_domain(standard_domain(DOMAIN, 1), {})
        yield running


def plain(api: RunningApi, sent: list[Any]) -> Any:
    """A client as anybody makes it. `sent`: gets its requests."""
    client = boto3.session.Session().client(
        "customer-profiles",
        endpoint_url=api.url,
        region_name="us-east-1",
        aws_access_key_id=ADMIN,
        aws_secret_access_key=SECRETS[ADMIN],
        config=Config(proxies={}),
    )
    client.meta.events.register("before-send.customer-profiles.*", lambda request, **_: sent.append(request))
    return client


def again(request: Any, called: str = "") -> tuple[int, str]:
    """`called`: in place of what the SDK calls it, which it did not sign."""
    headers = {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in request.headers.items()}
    headers |= {"amz-sdk-invocation-id": called} if called else {}
    asked = urllib.request.Request(request.url, request.body or None, headers, method=request.method)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=60) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        return error.code, str(error.headers["x-amzn-errortype"])


def jobs(api: RunningApi) -> int:
    return sum(upload_jobs.count_by_status(api.services.store, DOMAIN).values())


def test_a_call_is_carried_out_once_whatever_it_is_called(api: RunningApi) -> None:
    """By its bytes, or changed in what nobody signed: nothing is made, no other path is handed out, and a list may be asked for again."""
    sent = list[Any]()
    client, before = plain(api, sent), jobs(api)
    job_id = client.create_upload_job(DomainName=DOMAIN, DisplayName="x", Fields=FIELDS, UniqueKey="asset_id")["JobId"]
    create = sent[-1]
    assert again(create, uuid.uuid4().hex) == THROTTLED
    client.get_upload_job_path(DomainName=DOMAIN, JobId=job_id)
    path = sent[-1]
    assert again(path, uuid.uuid4().hex) == THROTTLED
    assert [again(create), again(path)] == [REPLAYED, REPLAYED]
    client.list_upload_jobs(DomainName=DOMAIN)
    assert again(sent[-1]) == (200, "")
    # It can't be the client any more.
    eventually(lambda: again(create, uuid.uuid4().hex) == REPLAYED, within=10, what="it is refused for good")
    assert jobs(api) == before + 1


def test_equal_calls_of_one_second_are_calls_of_their_own(api: RunningApi) -> None:
    sent = list[Any]()
    client = plain(api, sent)
    client.list_domains()

    def two() -> tuple[set[str], int] | None:
        """Their jobs, and how many more there are; None where they were of two seconds."""
        sent.clear()
        before = jobs(api)
        made = {
            client.create_upload_job(DomainName=DOMAIN, DisplayName="twice", Fields=FIELDS, UniqueKey="asset_id")["JobId"] for _ in range(2)
        }
        return (made, jobs(api) - before) if sent[0].headers["Authorization"] == sent[1].headers["Authorization"] else None

    made, more = eventually(two, within=20, what="two calls in one second")
    assert len(sent) == 3, "the first that is signed anew succeeds, however soon the SDK does so"
    assert len(made) == more == 2
