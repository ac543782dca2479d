"""The worker as its supervisor sees it: a process with an exit code, /health and /metrics."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from deployments.embedded.processes import free_port
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from streaming.metrics import REGISTRY
from tests.contract.worker_streams import Stream, open_stream
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually

ROWS = 4_000


@pytest.fixture
def real(valkey: ValkeyServer, apache_kafka: str, empty_s3: S3Server) -> Pipeline:
    made = pipeline(valkey.url, apache_kafka, access_to(empty_s3))
    made.make_bucket("crm")
    return made


@pytest.fixture
def stream(real: Pipeline, domain_name: str, monkeypatch: pytest.MonkeyPatch) -> Stream:
    monkeypatch.setattr("streaming.split.batches.BATCH_ROWS", 50)
    return open_stream(real, domain_name, ROWS)


class WorkerProcess:
    """A worker and its HTTP port."""

    def __init__(self, process: Any, port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    def get(self, path: str) -> tuple[int, str]:
        """Status and body; (0, "") while nobody listens."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def health(self, domain: str) -> dict[str, Any]:
        status, body = self.get("/health")
        said: dict[str, Any] = json.loads(body) if body else {}
        return {"code": status, **said.get("domains", {}).get(domain, {})}

    def owns(self, domain: str, count: int) -> bool:
        return bool(self.health(domain).get("partitions") == count)

    def value(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels."""
        found = 0.0
        for family in text_string_to_metric_families(self.get("/metrics")[1]):
            found += sum(one.value for one in family.samples if one.name == name and labels.items() <= one.labels.items())
        return found

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code: int = self.process.wait(120)
        return code


@contextmanager
def worker(real: Pipeline, log: Path, monkeypatch: pytest.MonkeyPatch, *domains: str) -> Iterator[WorkerProcess]:
    port = free_port()
    monkeypatch.setenv("HEADRACE_WORKER_HEALTH_PORT", str(port))
    with real.process("-m", "streaming.worker", *domains, log=log) as process:
        yield WorkerProcess(process, port, log)


@pytest.mark.spec("B9")
def test_every_metric_is_served_under_its_name_and_counts_what_was_done(
    stream: Stream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream.publish(stream.batches)
    with worker(stream.real, tmp_path / "w.log", monkeypatch, stream.domain) as one:
        stream.await_all()
        stream.await_committed(stream.totals.batches)
        domain = {"domain": stream.domain}
        eventually(lambda: one.value("headrace_batches_not_durable", **domain) == 0, within=20, what="all is durable")
        families = {family.name: family for family in text_string_to_metric_families(one.get("/metrics")[1])}
        named = {family.name: family.documentation for family in REGISTRY.collect()}
        assert {name: families[name].documentation for name in named} == named
        assert all(named.values())
        counted = {outcome: one.value("headrace_rows_total", outcome=outcome, **domain) for outcome in stream.expected.as_dict()}
        assert counted == stream.expected.as_dict()
        assert one.value("headrace_batches_total", status="ok", **domain) == len(stream.batches)
        assert one.value("headrace_batch_seconds_count", **domain) >= len(stream.batches)
        assert one.value("headrace_partitions", **domain) == stream.partitions
        assert one.value("headrace_paused_partitions", **domain) == 0
        assert one.get("/elsewhere")[0] == 404
        assert one.terminate() == 0


@pytest.mark.spec("B9")
def test_health_says_what_a_worker_owns_and_whether_redis_is_there(
    own_valkey: Callable[[], ValkeyServer],
    apache_kafka: str,
    empty_s3: S3Server,
    domain_name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = own_valkey()
    real = pipeline(server.url, apache_kafka, access_to(empty_s3))
    real.make_bucket("crm")
    open_stream(real, domain_name, 10)
    with worker(real, tmp_path / "w.log", monkeypatch) as one:
        eventually(lambda: one.owns(domain_name, 4), within=60, what="a domain named by nobody is found")
        assert one.health(domain_name) == {"code": 200, "partitions": 4, "paused": [], "alive": True}
        server.kill()
        eventually(lambda: one.get("/health")[0] == 503, within=60, what="503 without Redis")
        assert "REDIS_UNAVAILABLE" in one.get("/health")[1]
        own_valkey()
        eventually(lambda: one.get("/health")[0] == 200, within=60, what="200 again")
        assert one.terminate() == 0


@pytest.mark.spec("B1", "R4")
def test_a_second_worker_takes_half_and_gives_it_back(stream: Stream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    domain = stream.domain
    third = len(stream.batches) // 3
    with worker(stream.real, tmp_path / "1.log", monkeypatch, domain) as first:
        eventually(lambda: first.owns(domain, 4), within=60, what="the first has all")
        stream.publish(stream.batches[:third])
        with worker(stream.real, tmp_path / "2.log", monkeypatch, domain) as second:
            eventually(lambda: first.owns(domain, 2) and second.owns(domain, 2), within=60, what="each has half")
            stream.publish(stream.batches[third : 2 * third])
            eventually(lambda: second.value("headrace_batches_total", status="ok") > 0, within=60, what="the second works")
            assert second.terminate() == 0
        eventually(lambda: first.owns(domain, 4), within=60, what="the first has all again")
        stream.publish(stream.batches[2 * third :])
        stream.await_all()
        stream.await_committed(stream.totals.batches)
        assert first.terminate() == 0


UNSAFE = [("maxmemory-policy", "allkeys-lru", "noeviction"), ("appendonly", "no", "appendonly yes")]


@pytest.mark.parametrize(("setting", "value", "advice"), UNSAFE)
def test_a_worker_refuses_an_unsafe_redis(
    own_valkey: Callable[[], ValkeyServer],
    apache_kafka: str,
    empty_s3: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    value: str,
    advice: str,
) -> None:
    server = own_valkey()
    with redis.Redis.from_url(server.url) as client:
        client.config_set(setting, value)
    real = pipeline(server.url, apache_kafka, access_to(empty_s3))
    with worker(real, tmp_path / "w.log", monkeypatch) as one:
        assert one.process.wait(120) == 1
    told = one.log.read_text().strip().splitlines()
    assert "UNSAFE_REDIS" in told[-1]
    assert advice in told[-1]
    assert "Traceback" not in one.log.read_text()


@pytest.mark.spec("C2")
def test_a_worker_with_wrong_credentials_says_so_without_them(
    own_valkey: Callable[[], ValkeyServer], apache_kafka: str, empty_s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = own_valkey()
    real = pipeline(server.url, apache_kafka, access_to(empty_s3))
    real.settings.redis.url = type(real.settings.redis.url)(server.url.replace("redis://", "redis://nobody:a-password@"))
    with worker(real, tmp_path / "w.log", monkeypatch) as one:
        assert one.process.wait(120) == 1
    told = one.log.read_text()
    assert "REDIS_DENIED" in told
    assert "a-password" not in told
