"""`headrace api` as a process: TLS, an end that lets calls come to theirs, and a log without secrets (SPEC U12)."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import trustme
from botocore.exceptions import SSLError

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.cli.api import run_api
from headrace.cli.terminal import Form, Terminal
from headrace.errors import HeadraceError
from profile_store import registry
from tests.api_client import ADMIN, MASTER_KEY, SECRETS, client_of, running_api, write_principals
from tests.integration.test_api_domains import refusal
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually
from tests.signed import signed


@pytest.fixture
def real(valkey: ValkeyServer, tansu_server: BrokerServer, empty_s3: S3Server) -> Pipeline:
    return pipeline(valkey.url, tansu_server.bootstrap_servers, access_to(empty_s3))


@contextmanager
def started(real: Pipeline, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The process and its URL."""
    with real.process("-m", "headrace", "api", log=log) as process:

        def url() -> str | None:
            assert process.poll() is None, log.read_text()
            found = re.search(r"serving the API on (\S+)", log.read_text())
            return found[1] if found else None

        yield process, eventually(url, within=60, what="the API listens")


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_API_PORT", "0")
    monkeypatch.setenv("HEADRACE_API_PARTITIONS", "2")
    monkeypatch.setenv("HEADRACE_API_PRINCIPALS_FILE", str(write_principals(tmp_path)))
    monkeypatch.setenv("HEADRACE_API_MASTER_KEY", MASTER_KEY.get_secret_value())


@pytest.mark.spec("U12")
def test_over_tls_and_its_log_tells_no_secret(real: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, domain_name: str) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    (tmp_path / "certificate.pem").write_bytes(b"".join(one.bytes() for one in certificate.cert_chain_pems))
    monkeypatch.setenv("HEADRACE_API_CERTIFICATE_FILE", str(tmp_path / "certificate.pem"))
    monkeypatch.setenv("HEADRACE_API_KEY_FILE", str(tmp_path / "key.pem"))
    log = tmp_path / "api.log"
    with started(real, log) as (process, url):
        assert url.startswith("https://")
        ours = client_of(url, verify=str(tmp_path / "ca.pem"))
        ours.create_domain(DomainName=domain_name, DefaultExpirationDays=1)
        with pytest.raises(ours.exceptions.ResourceNotFoundException):
            ours.delete_profile(DomainName=domain_name, ProfileId="a1" * 16)
        with pytest.raises(SSLError):
            client_of(url).list_domains()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    said = log.read_text()
    assert "DeleteProfile" in said or "ResourceNotFoundException" in said
    for secret in (*SECRETS.values(), MASTER_KEY.get_secret_value(), "a1" * 16, "Signature="):
        assert secret not in said


def test_what_is_under_way_comes_to_its_end(real: Pipeline, tmp_path: Path, domain_name: str) -> None:
    with started(real, tmp_path / "api.log") as (process, url):
        request, body = signed("create_domain", ADMIN, SECRETS[ADMIN], DomainName=domain_name, DefaultExpirationDays=1)
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
        connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers:
            connection.putheader(name, value)
        connection.putheader("Expect", "100-continue")
        connection.endheaders()
        # The body is asked for: the request is under way.
        assert connection.sock.recv(1_000).startswith(b"HTTP/1.1 100 ")
        connection.send(body[:5])
        process.send_signal(signal.SIGTERM)
        eventually(lambda: is_closed(url), within=20, what="nobody is let in any more")
        connection.send(body[5:])
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["DomainName"]) == (200, domain_name)
        assert process.wait(30) == 0
    assert registry.get_domain(real.store, domain_name).owner == "api"


def is_closed(url: str) -> bool:
    try:
        http.client.HTTPConnection(url.removeprefix("http://"), timeout=5).connect()
    except ConnectionError:
        return True
    return False


def test_a_store_that_is_silent_or_gone(
    own_valkey: Callable[[], ValkeyServer],
    tansu_server: BrokerServer,
    s3_server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.app.WAIT_SECONDS", 0.5)
    monkeypatch.setattr("api.observed.LOOK_SECONDS", 0.5)
    server = own_valkey()
    alone = pipeline(server.url, tansu_server.bootstrap_servers, access_to(s3_server))
    with running_api(alone, tmp_path, max_concurrency=1) as api, ThreadPoolExecutor(1) as pool:
        assert status_of(f"{api.url}/ready") == 200
        server.process.signal(signal.SIGSTOP)
        held = pool.submit(api.client().list_domains)
        try:
            eventually(lambda: "headrace_api_running_calls 1.0" in page(f"{api.url}/metrics"), within=10, what="a call is held up")
            # It has the one place; the next is told to come again.
            assert refusal(client_of(api.url).list_domains) == (429, "ThrottlingException")
            assert 'headrace_api_calls_total{operation="ListDomains",status="429"}' in page(f"{api.url}/metrics")
        finally:
            server.process.signal(signal.SIGCONT)
        assert held.result()["Items"] == []
        server.process.kill()
        assert refusal(client_of(api.url).list_domains) == (503, "ServiceUnavailableException")
        assert (status_of(f"{api.url}/ready"), status_of(f"{api.url}/health")) == (503, 200)
        eventually(lambda: "headrace_upload_jobs{" not in page(f"{api.url}/metrics"), within=10, what="nobody knows of jobs any more")


@pytest.mark.spec("U12")
def test_more_connections_than_it_keeps_are_told_so(real: Pipeline, tmp_path: Path) -> None:
    with running_api(real, tmp_path, max_connections=3) as api, ExitStack() as held:
        for _ in range(2):
            held.enter_context(closing(http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=10))).connect()
        assert status_of(f"{api.url}/health") == 200
        held.enter_context(closing(http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=10))).connect()
        eventually(lambda: status_of(f"{api.url}/health") == 503, within=10, what="there is no connection left")
        held.close()
        eventually(lambda: status_of(f"{api.url}/health") == 200, within=10, what="those who left make room")


def page(url: str) -> str:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=60) as answer:
        return str(answer.read().decode())


def status_of(url: str) -> int:
    try:
        page(url)
    except urllib.error.HTTPError as error:
        return error.code
    return 200


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("HEADRACE_API_PRINCIPALS_FILE", "", "NO_PRINCIPALS"),
        ("HEADRACE_API_PRINCIPALS_FILE", "nowhere.yaml", "nowhere.yaml: can't be read"),
        ("HEADRACE_API_MASTER_KEY", "short", "NO_MASTER_KEY"),
        ("HEADRACE_API_CERTIFICATE_FILE", "certificate.pem", "CERTIFICATE_FILE and KEY_FILE go together"),
    ],
)
def test_what_it_can_not_begin_without(real: Pipeline, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str) -> None:
    real.set_environment(monkeypatch.setenv)
    monkeypatch.setenv(variable, value)
    with pytest.raises(HeadraceError, match=said):
        run_api(Terminal.of(Form.JSON))
