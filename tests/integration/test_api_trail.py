"""Every call of somebody who may call is in the audit trail before it is done; floods and polling don't fill it (SPEC U12)."""

from __future__ import annotations

import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from pydantic import SecretStr

from api import app, trail
from api.operations import OPERATIONS
from api.trail import Trail
from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.settings import RedisSettings
from headrace.standard_fields import standard_domain
from profile_store import audit, keys, upload_jobs
from profile_store.audit import AuditEntry
from profile_store.store import Store
from tests.api_client import READER, RETAILER, running_api
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually
from tests.upload_shop import Shop, headers_of, put, running_shop
from tests.uploaded import HEADER

pytestmark = pytest.mark.spec("U12")

ROW = f"{HEADER}A1,Laptop,,,,\n".encode()


@pytest.fixture(scope="module")
def real(valkey_server: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server) -> Pipeline:
    return pipeline(valkey_server.url, tansu_server.bootstrap_servers, access_to(s3_server))


@pytest.fixture(scope="module")
def made(real: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with running_shop(real, tmp_path_factory.mktemp("api"), partitions=1, audit_reads=100) as shop:
        yield shop


@pytest.fixture
def shop(made: Shop, domain_name: str) -> Shop:
    """With a domain of the test's own, which nobody works on."""
    made.api.services.engine.create_domain(standard_domain(domain_name, 1), {})
    return replace(made, domain=domain_name)


@pytest.fixture
def since(real: Pipeline) -> list[AuditEntry]:
    """The entries that are there when the test begins."""
    return audit.read(real.store, most=1_000_000)


def told(real: Pipeline, before: list[AuditEntry], **of: Any) -> list[AuditEntry]:
    """What is new, the oldest first."""
    new = audit.read(real.store, most=1_000_000)[::-1]
    return [one for one in new if one not in before and all(getattr(one, name) == value for name, value in of.items())]


def is_done(call: Any, **members: Any) -> bool:
    try:
        call(**members)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ThrottlingException":
            raise
        return False
    return True


def test_a_flood_is_told_and_does_not_fill_it(
    real: Pipeline, since: list[AuditEntry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first that was refused, by itself; others when the next one passes, or at the end."""
    monkeypatch.setattr(trail, "AGAIN_SECONDS", 3_600)
    with running_api(real, tmp_path, requests_per_second=0.5, burst=1) as api:
        client, refused = api.client(READER), [0, 0, 0]
        for before in range(3):
            while not is_done(client.list_domains):
                refused[before] += 1
        hasty = api.client(RETAILER)
        assert is_done(hasty.list_domains)
        last = sum(not is_done(hasty.list_domains) for _ in range(20))
    found = [one.detail for one in told(real, since, who="api:reader", what="ListDomains")]
    assert len([one for one in found if "refused" not in one]) == 3
    floods = [one.get("times", 1) for one in found if one.get("refused") == "ThrottlingException"]
    assert refused[0] == 0
    assert floods == [1, refused[1] - 1, refused[2]]
    rest = [one.detail.get("times", 1) for one in told(real, since, who="api:retailer") if "refused" in one.detail]
    passed = 20 - last
    assert (rest[0], sum(rest), len(rest) <= passed + 2) == (1, last, True)


def test_once_a_second_and_only_what_all_have_in_common(real: Pipeline, since: list[AuditEntry]) -> None:
    now, who = [0.0], uuid.uuid4().hex
    noted = Trail(real.store, 1_000, lambda: now[0])
    for tenth in range(25):
        now[0] = tenth / 10
        noted.refused(who, "GetDomain", f"domain d{tenth % 2}", "ThrottlingException", request=str(tenth))
    noted.refused(who, "ListDomains", "the API", "ThrottlingException", request="0")
    noted.close()
    assert [(one.what, one.about, one.detail) for one in told(real, since, who=who)] == [
        ("GetDomain", "domain d0", {"refused": "ThrottlingException", "request": "0"}),
        ("GetDomain", "the API", {"refused": "ThrottlingException", "times": 10}),
        ("GetDomain", "the API", {"refused": "ThrottlingException", "times": 10}),
        ("ListDomains", "the API", {"refused": "ThrottlingException", "request": "0"}),
        ("GetDomain", "the API", {"refused": "ThrottlingException", "times": 4}),
    ]


def test_who_waits_for_a_place_in_vain_is_told(
    real: Pipeline, since: list[AuditEntry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait(_call: Any) -> dict[str, Any]:
        begun.set()
        go_on.wait(30)
        return {"Items": []}

    monkeypatch.setitem(OPERATIONS, "ListDomains", wait)
    monkeypatch.setattr(app, "WAIT_SECONDS", 0.1)
    with running_api(real, tmp_path, max_concurrency=1) as api, ThreadPoolExecutor(1) as pool:
        first = pool.submit(api.client().list_domains)
        try:
            assert begun.wait(30)
            assert not is_done(api.client(READER).get_domain, DomainName="somewhere")
        finally:
            go_on.set()
        first.result(30)
    [found] = eventually(lambda: told(real, since, who="api:reader"), within=10, what="it is told")
    assert (found.what, found.about, found.detail["refused"]) == ("GetDomain", "domain somewhere", "ThrottlingException")


def test_what_there_is_not_is_told(shop: Shop, real: Pipeline, since: list[AuditEntry]) -> None:
    """Without its path, which may be anything."""
    client = shop.api.client(READER)
    client.meta.events.register_first("before-sign.customer-profiles.ListDomains", nowhere)
    try:
        with pytest.raises(ClientError):
            client.list_domains()
    finally:
        client.meta.events.unregister("before-sign.customer-profiles.ListDomains", nowhere)
    [found] = eventually(lambda: told(real, since, who="api:reader"), within=10, what="it is told")
    assert (found.what, found.about, found.detail["refused"]) == ("unknown", "the API", "UnknownOperationException")


def nowhere(request: Any, **_: Any) -> None:
    parts = urlsplit(request.url)
    request.url = f"{parts.scheme}://{parts.netloc}/nothing/of-the-model"


def test_reading_does_not_fill_it(shop: Shop, real: Pipeline, since: list[AuditEntry]) -> None:
    """Of what changes nothing the latest are kept, some more than are asked for; of what changes anything all."""
    store = shop.api.services.store
    job_id = shop.create()
    for number in range(500):
        audit.note_read(store, "GetUploadJob", "domain x", "somebody", 100, number=number)
    shop.get(job_id)
    assert 100 <= store.client.xlen(keys.audit_reads()) <= 300
    about = f"domain {shop.domain}"
    every = [(one.what, one.detail.get("number")) for one in told(real, since) if one.about in (about, "domain x")]
    assert every[0] == ("CreateUploadJob", None)
    assert every[1:] == [*(("GetUploadJob", number) for number in range(501 - len(every) + 1, 500)), ("GetUploadJob", None)]
    assert [one.what for one in audit.read(store, most=2)] == ["GetUploadJob", "GetUploadJob"]


def test_an_upload_is_told_before_it_is_the_jobs(
    shop: Shop, real: Pipeline, since: list[AuditEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that comes too late is told, too; one that nobody has signed is not."""
    monkeypatch.setattr(trail, "AGAIN_SECONDS", 3_600)
    job_id, seen, inner = shop.create(), list[AuditEntry](), upload_jobs.note_upload
    path = shop.path(job_id)
    headers = headers_of(path["ClientToken"])

    def look(*arguments: Any) -> Any:
        seen.extend(told(real, since, what="PutUpload"))
        return inner(*arguments)

    monkeypatch.setattr(upload_jobs, "note_upload", look)
    assert put(f"{path['Url']}0", ROW, headers)[0] == 403
    assert put(path["Url"], ROW, headers)[0] == 200
    assert [(one.who, one.about, one.detail) for one in seen] == [
        ("a pre-signed URL", f"domain {shop.domain}", {"job": job_id, "bytes": len(ROW)})
    ]
    assert upload_jobs.start(shop.api.services.store, shop.domain, job_id).done
    for _ in range(3):
        assert put(path["Url"], ROW, headers)[0] == 403
    late = eventually(lambda: told(real, since, what="PutUpload")[1:], within=10, what="it is told")
    assert [one.detail for one in late] == [{"job": job_id, "refused": "AccessDenied"}]


def test_what_is_refused_does_not_stay_for_ever(shop: Shop, real: Pipeline) -> None:
    """Of operations that would change something, too: whoever may call can be refused as often as he likes, and so can who has listened in."""
    kept, sent = real.store.client.xlen(keys.audit()), list[Any]()
    client = shop.api.client(READER)
    client.meta.events.register("before-send.customer-profiles.DeleteDomain", lambda request, **_: sent.append(request))
    for _ in range(20):
        with pytest.raises(ClientError, match="AccessDenied"):
            client.delete_domain(DomainName=shop.domain)
    with pytest.raises(ClientError, match="must be"):
        shop.client.create_domain(DomainName="x", DefaultExpirationDays=10**400)
    assert real.store.client.xlen(keys.audit()) == kept
    assert sent


def test_a_silent_redis_holds_up_no_end(own_valkey: Callable[[], ValkeyServer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "CLOSE_SECONDS", 0.2)
    monkeypatch.setattr(trail, "AGAIN_SECONDS", 0.0)
    server = own_valkey()
    store = Store(RedisSettings(url=SecretStr(server.url), timeout_seconds=60))
    noted = Trail(store, 1_000)
    store.client.ping()
    server.process.signal(signal.SIGSTOP)
    try:
        for number in range(50):
            noted.refused("somebody", "GetDomain", "the API", "ThrottlingException", request=str(number))
        ending = threading.Thread(target=noted.close, daemon=True)
        ending.start()
        eventually(lambda: not ending.is_alive(), within=10, what="the trail is closed")
    finally:
        server.process.signal(signal.SIGCONT)
