"""Clients that hold on to an upload's place: too slow, or too many of one job (SPEC U5, U12)."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from urllib.parse import urlsplit

import pytest

from api import upload_put
from api.receive_upload import ReceivedUpload
from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from profile_store import audit
from tests.pipeline import access_to, pipeline
from tests.polling import eventually
from tests.upload_shop import Shop, headers_of, put, running_shop
from tests.uploaded import BUCKET, HEADER

pytestmark = pytest.mark.spec("U5", "U12")

ROW = f"{HEADER}A1,Laptop,,,,\n".encode()
LEAST_RATE = 500_000


@pytest.fixture(scope="module")
def shop(
    valkey_server: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    real = pipeline(valkey_server.url, tansu_server.bootstrap_servers, access_to(s3_server))
    settings = {"max_uploads": 3, "upload_bytes_per_second": LEAST_RATE}
    with running_shop(real, tmp_path_factory.mktemp("api"), partitions=1, **settings) as made:
        yield made


def begun(shop: Shop, job_id: str, size: int = 10_000_000) -> http.client.HTTPConnection:
    """An upload of `size` bytes, of which none is sent yet."""
    path = shop.path(job_id)
    parts = urlsplit(path["Url"])
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    connection.putrequest("PUT", f"{parts.path}?{parts.query}")
    for name, value in {**headers_of(path["ClientToken"]), "content-length": str(size)}.items():
        connection.putheader(name, value)
    connection.endheaders()
    return connection


def answer(connection: http.client.HTTPConnection) -> tuple[int, str]:
    with closing(connection):
        found = connection.getresponse()
        return found.status, found.read().decode().partition("<Code>")[2].partition("</Code>")[0]


def uploads(shop: Shop, job_id: str) -> list[str]:
    return [one.version.key for one in shop.api.services.objects.held(BUCKET, f"_headrace/uploads/{shop.domain}/{job_id}/")]


def drip(connection: http.client.HTTPConnection, data: bytes, pause: float) -> None:
    """A piece again and again, until nobody takes it any more."""
    clock, taken = threading.Event(), connection.sock
    with suppress(OSError):
        while not clock.wait(pause):
            taken.sendall(data)


@pytest.mark.parametrize("size", [1, LEAST_RATE // 50], ids=["a byte", "too little"])
def test_who_sends_too_slowly_is_let_go(shop: Shop, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something twenty times a second, at most 40 % of what it should be."""
    monkeypatch.setattr(upload_put, "PATIENCE_SECONDS", 0.5)
    job_id = shop.create()
    connection, began = begun(shop, job_id), time.monotonic()
    dripping = threading.Thread(target=drip, args=(connection, b"x" * size, 0.05), daemon=True)
    dripping.start()
    assert answer(connection) == (400, "RequestTimeout")
    assert time.monotonic() - began < 20, "not for as long as somebody sends"
    dripping.join(30)
    assert uploads(shop, job_id) == []


def test_who_pauses_and_keeps_the_rate_may_go_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_put, "PATIENCE_SECONDS", 3)
    job_id = shop.create()
    connection, clock = begun(shop, job_id, 6 * LEAST_RATE), threading.Event()
    for _ in range(6):
        assert not clock.wait(0.6)
        connection.send(b"x" * LEAST_RATE)
    assert answer(connection) == (200, "")


def test_what_s3_takes_is_not_the_clients(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer for each piece than the client has in all."""
    inner, clock = ReceivedUpload.write, threading.Event()

    def write(self: ReceivedUpload, data: bytes) -> None:
        assert not clock.wait(3.2)
        inner(self, data)

    monkeypatch.setattr(ReceivedUpload, "write", write)
    monkeypatch.setattr(upload_put, "PATIENCE_SECONDS", 3)
    connection = begun(shop, shop.create(), 2_200_000)
    connection.send(b"x" * 2_200_000)
    assert answer(connection) == (200, "")


def test_one_job_leaves_places_for_others(shop: Shop) -> None:
    first, second, third = (shop.create() for _ in range(3))
    paths = {job_id: shop.path(job_id) for job_id in (first, second, third)}

    def tried(job_id: str) -> int:
        return put(paths[job_id]["Url"], ROW, headers_of(paths[job_id]["ClientToken"]))[0]

    def has_begun(job_id: str, times: int) -> bool:
        noted = [one.detail for one in audit.read(shop.api.services.store) if one.what == upload_put.OPERATION]
        return len([one for one in noted if one["job"] == job_id and "refused" not in one]) == times

    with ExitStack() as held:
        for _ in range(2):
            held.enter_context(closing(begun(shop, first)))
        eventually(lambda: has_begun(first, 2), within=10, what="both are let in")
        assert tried(first) == 503
        assert tried(second) == 200
        held.enter_context(closing(begun(shop, second)))
        eventually(lambda: has_begun(second, 2), within=10, what="it is let in")
        assert tried(third) == 503
    eventually(lambda: tried(first) == tried(third) == 200, within=10, what="the places are free again")
