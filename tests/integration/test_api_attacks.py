"""Who is not meant to get in, or has a key for less: over HTTP, byte by byte where a client would not send such (SPEC U12).

What becomes of a signature when anything of its request changes is tests/unit/test_signature.py's.
"""

from __future__ import annotations

import http.client
import json
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from api import app, server
from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.standard_fields import standard_domain
from profile_store import audit
from profile_store.computations import put_computation
from tests.api_client import ADMIN, READER, RETAILER, SECRETS, RunningApi, running_api
from tests.pipeline import access_to, pipeline
from tests.polling import eventually
from tests.uploaded import FIELDS

pytestmark = pytest.mark.spec("U12")

OURS, OTHER = "retail-ours", "other"
"""RETAILER may do everything with the first, nothing with the second."""


@pytest.fixture(scope="module")
def api(
    valkey_server: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningApi]:
    real = pipeline(valkey_server.url, tansu_server.bootstrap_servers, access_to(s3_server))
    with running_api(real, tmp_path_factory.mktemp("api"), partitions=1) as running:
        for name in (OURS, OTHER):
            running.services.engine.create_domain(standard_domain(name, 1), {})
        yield running


def sent(api: RunningApi, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, str]:
    """Status, and the name of the error."""
    with closing(http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=30)) as connection:
        connection.putrequest(method, path, skip_host="host" in {name.lower() for name in headers}, skip_accept_encoding=True)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        answer.read()
        return answer.status, str(answer.headers.get("x-amzn-errortype", ""))


def signed(api: RunningApi, method: str, path: str, body: bytes = b"", key: str = RETAILER, **headers: str) -> dict[str, str]:
    """The headers of a request that is signed as it stands, whatever it asks for. `headers`: signed too, `_` for `-`."""
    request = AWSRequest(method, f"{api.url}{path}", {name.replace("_", "-"): value for name, value in headers.items()}, body)
    SigV4Auth(Credentials(key, SECRETS[key]), "profile", "us-east-1").add_auth(request)
    return {**dict(request.headers.items()), "Host": urlsplit(api.url).netloc}


def asked(api: RunningApi, method: str, path: str, body: bytes = b"", key: str = RETAILER, **headers: str) -> tuple[int, str]:
    return sent(api, method, path, signed(api, method, path, body, key, **headers), body)


def test_what_is_signed_as_it_should_is_answered(api: RunningApi) -> None:
    """So that the refusals below are for what each of them says."""
    assert asked(api, "GET", f"/domains/{OURS}") == (200, "")
    headers = signed(api, "GET", f"/domains/{OURS}")
    assert sent(api, "GET", f"/domains/{OURS}", {name.swapcase(): value for name, value in headers.items()}) == (200, "")


@pytest.mark.parametrize(
    "path",
    [
        f"/domains/{OTHER}",
        f"/domains/{OTHER}/",
        f"/domains/{OTHER.replace('o', '%6f')}",
        f"/domains/{OURS}/../{OTHER}",
        f"/domains/{OURS}/%2e%2e/{OTHER}",
        f"/domains/{OURS}%2F..%2F{OTHER}",
        f"/domains/{OURS}%252F..%252F{OTHER}",
        f"/domains//{OTHER}",
        f"//domains/{OTHER}",
        f"/./domains/{OTHER}",
        f"/DOMAINS/{OTHER}",
        f"/domains/{OURS}%00{OTHER}",
        f"/domains/{OURS}%0a{OTHER}",
        f"/domains/retail*/../{OTHER}",
        f"/domains/{OURS};{OTHER}",
        f"/domains/{OURS}?DomainName={OTHER}",
        f"/domains/{OURS}/upload-jobs?domain-name={OTHER}",
        "/domains/%ff",
    ],
)
def test_no_path_leads_to_a_domain_that_is_not_ones_own(api: RunningApi, path: str) -> None:
    """Signed by somebody who has a key, for what he may not."""
    status, _ = asked(api, "GET", path)
    assert status in (400, 403, 404)


def test_a_body_does_not_choose_another_domain(api: RunningApi) -> None:
    body = json.dumps({"DomainName": OTHER, "ProfileId": "1" * 32}).encode()
    assert asked(api, "POST", f"/domains/{OURS}/profiles/delete", body) == (400, "BadRequestException")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"X_Amz_Content_SHA256": "UNSIGNED-PAYLOAD"}, "InvalidSignatureException"),
        ({"X_Amz_Content_SHA256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "Content_Encoding": "aws-chunked"}, "InvalidSignatureException"),
        ({"X_Amz_Content_SHA256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}, "InvalidSignatureException"),
        ({"X_Amz_Security_Token": "IQoJb3JpZ2luX2Vj"}, "UnrecognizedClientException"),
        ({"X_HTTP_Method_Override": "DELETE"}, "InvalidSignatureException"),
    ],
    ids=lambda value: "".join(value) if isinstance(value, dict) else "",
)
def test_ways_of_signing_that_say_less_are_refused(api: RunningApi, headers: dict[str, str], code: str) -> None:
    """All of them with a signature that botocore gives."""
    body = b'{"ProfileIds": ["11111111111111111111111111111111"]}'
    assert asked(api, "POST", f"/domains/{OURS}/batch-get-profiles", body, **headers) == (403, code)
    assert asked(api, "POST", f"/domains/{OURS}/batch-get-profiles", body) == (200, "")


def test_a_pre_signed_request_is_none(api: RunningApi) -> None:
    request = AWSRequest("GET", f"{api.url}/domains/{OURS}")
    SigV4QueryAuth(Credentials(RETAILER, SECRETS[RETAILER]), "profile", "us-east-1", expires=600).add_auth(request)
    path = str(request.url).removeprefix(api.url)
    assert "X-Amz-Signature=" in path
    assert sent(api, "GET", path, {}) == (403, "MissingAuthenticationTokenException")
    assert asked(api, "GET", path) == (400, "BadRequestException"), "a parameter that the operation does not have"


def test_headers_that_nobody_signed_change_nothing(api: RunningApi) -> None:
    path = f"/domains/{OURS}"
    headers = signed(api, "GET", path)
    for name in ("X-Amz-Target", "x-amz-user", "X-AMZ-Date-", "x-Amz-Expected-Bucket-Owner"):
        assert sent(api, "GET", path, {**headers, name: OTHER}) == (403, "InvalidSignatureException"), name
    for name in ("X-Forwarded-Host", "X-Forwarded-For", "X-Original-URL", "X-Rewrite-URL", "Forwarded"):
        assert sent(api, "GET", path, {**headers, name: f"/domains/{OTHER}"}) == (200, ""), name
    assert sent(api, "GET", path, {**headers, "Host": "profiles.example.com"}) == (403, "InvalidSignatureException")


def raw(api: RunningApi, data: bytes) -> bytes:
    """What comes back until the connection is closed; one that is broken off may lose it."""
    host, _, port = urlsplit(api.url).netloc.partition(":")
    found = b""
    with socket.create_connection((host, int(port)), timeout=30) as connection, suppress(ConnectionError):
        connection.sendall(data)
        while chunk := connection.recv(65_536):
            found += chunk
    return found


SMUGGLED = b"DELETE /domains/other HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5, 6\r\n",
        b"Content-Length: +5\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n",
        b"X-A: b\r\nTransfer-Encoding\r\n: chunked\r\n",
        b"X-A: " + b"a" * 200_000 + b"\r\n",
    ],
    ids=lambda head: head[:40].decode("latin-1").replace("\r\n", " "),
)
@pytest.mark.parametrize("line", [b"POST /domains", b"PUT /uploads/retail-ours/" + b"0" * 32])
def test_a_request_with_two_ends_is_refused_and_its_connection_closed(api: RunningApi, line: bytes, head: bytes) -> None:
    """What stands behind it is never read as a request."""
    answer = raw(api, line + b" HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n0\r\n\r\n" + SMUGGLED)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ")) or (len(head) > 65_536 and not answer)
    assert answer.count(b"HTTP/1.1 ") <= 1


def test_who_dawdles_is_let_go(api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 1)
    monkeypatch.setattr(app, "BODY_SECONDS", 1)
    for said in (b"", b"GET /health HTT", b"GET /health HTTP/1.1\r\nHost: a\r\n"):
        assert raw(api, said) == b""
    monkeypatch.setattr(server, "REQUEST_SECONDS", 20)
    body = b'{"DefaultExpirationDays": 1}'
    headers = signed(api, "POST", f"/domains/{OURS}-2", body)
    head = "".join(f"{name}: {value}\r\n" for name, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items())
    answer = raw(api, f"POST /domains/{OURS}-2 HTTP/1.1\r\n{head}\r\n".encode() + body[:-1])
    assert answer.startswith(b"HTTP/1.1 408 ")


def refusal(call: Callable[..., Any], **members: Any) -> str:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - boto3 makes the classes of its errors while it runs
        call(**members)
    return str(caught.value.response["Error"]["Code"])  # type: ignore[attr-defined]


def test_page_tokens_are_of_one_list_of_one_principal(api: RunningApi) -> None:
    admin, reader, retailer = api.client(), api.client(READER), api.client(RETAILER)
    for number in range(2):
        for name in (OURS, OTHER):
            admin.create_upload_job(DomainName=name, DisplayName=str(number), Fields=FIELDS, UniqueKey="asset_id")
    token = retailer.list_upload_jobs(DomainName=OURS, MaxResults=1)["NextToken"]
    assert len(retailer.list_upload_jobs(DomainName=OURS, NextToken=token)["Items"]) >= 1
    wrong: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        (reader.list_upload_jobs, {"DomainName": OURS}),
        (admin.list_upload_jobs, {"DomainName": OURS}),
        (retailer.list_segment_definitions, {"DomainName": OURS}),
        (retailer.list_domains, {}),
        (retailer.search_profiles, {"DomainName": OURS, "KeyName": "FirstName", "Values": ["A"]}),
    ]
    assert [refusal(call, **members, NextToken=token) for call, members in wrong] == ["BadRequestException"] * len(wrong)
    others = admin.list_upload_jobs(DomainName=OTHER, MaxResults=1)["NextToken"]
    assert refusal(admin.list_upload_jobs, DomainName=OURS, NextToken=others) == "BadRequestException"
    assert refusal(retailer.list_upload_jobs, DomainName=OTHER, NextToken=others) == "AccessDeniedException"


def test_ids_of_another_domain_are_nobodys(api: RunningApi) -> None:
    """Of every kind there is, asked for by somebody who may ask for anything in his own domain."""
    admin, retailer = api.client(), api.client(RETAILER)
    job = admin.create_upload_job(DomainName=OTHER, DisplayName="x", Fields=FIELDS, UniqueKey="asset_id")["JobId"]
    computed = uuid.uuid4().hex
    for kind in ("estimate", "snapshot"):
        put_computation(api.services.store, OTHER, computed, {"Kind": kind, "Status": "SUCCEEDED", "Segment": "s"}, 60)
    there: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        *(
            (call, {"JobId": job})
            for call in (retailer.get_upload_job, retailer.get_upload_job_path, retailer.start_upload_job, retailer.stop_upload_job)
        ),
        (retailer.get_segment_estimate, {"EstimateId": computed}),
        (retailer.get_segment_snapshot, {"SegmentDefinitionName": "s", "SnapshotId": computed}),
    ]
    for call, members in there:
        assert refusal(call, DomainName=OURS, **members) == "ResourceNotFoundException"
        assert refusal(call, DomainName=OTHER, **members) == "AccessDeniedException"


def test_what_is_out_of_scope_is_in_the_trail_too(api: RunningApi) -> None:
    assert refusal(api.client(ADMIN).put_integration, DomainName=OURS, ObjectTypeName="t", Uri="arn:aws:s3:::b") == "BadRequestException"
    wanted = ("api:admin", "PutIntegration", f"domain {OURS}", "BadRequestException")

    def is_last() -> bool:
        [last] = audit.read(api.services.store, most=1)
        return (last.who, last.what, last.about, last.detail.get("refused")) == wanted

    eventually(is_last, within=10, what="it is told")


def test_who_asks_for_a_domain_that_is_not_there_is_not_told_which_are(api: RunningApi) -> None:
    retailer = api.client(RETAILER)
    with pytest.raises(retailer.exceptions.ResourceNotFoundException) as caught:
        retailer.get_domain(DomainName="retail-nothing")
    assert OTHER not in str(caught.value).replace("another", "")
