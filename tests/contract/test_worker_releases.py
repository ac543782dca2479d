"""Two releases whose messages and records differ by one format number, as members of one consumer group: the older refuses, pauses, and loses nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deployments.embedded.processes import free_port
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from profile_store import keys
from profile_store.records import RECORD_FORMAT
from tests.contract.neighbour_streams import PARTITIONS, Crowd
from tests.contract.newer_release import NEXT_MESSAGE, NEXT_RECORD, newer_release
from tests.contract.test_worker_process import WorkerProcess
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually

ROWS = 3_000


@pytest.fixture
def crowd(valkey: ValkeyServer, apache_kafka: str, empty_s3: S3Server, domain_name: str, monkeypatch: pytest.MonkeyPatch) -> Crowd:
    monkeypatch.setattr("streaming.split.batches.BATCH_ROWS", 50)
    real = pipeline(valkey.url, apache_kafka, access_to(empty_s3))
    real.make_bucket("crm")
    made = Crowd(real, domain_name)
    made.register(ROWS)
    return made


@contextmanager
def release(real: Pipeline, code: Path, domain: str, log: Path) -> Iterator[WorkerProcess]:
    """A worker of the release whose packages lie in `code`."""
    port = free_port()
    environment = {**real.environment(), "PYTHONPATH": str(code), "HEADRACE_WORKER_HEALTH_PORT": str(port)}
    command = [sys.executable, "-m", "streaming.worker", domain]
    with log.open("ab") as out, subprocess.Popen(command, cwd=code, env=environment, stdout=out, stderr=out) as child:
        try:
            yield WorkerProcess(child, port, log)
        finally:
            if child.poll() is None:
                child.kill()


def records(crowd: Crowd) -> dict[bytes, bytes]:
    """Key → record."""
    found: dict[bytes, bytes] = {}
    client: Any = crowd.real.store.client
    for number in range(PARTITIONS):
        for key in client.scan_iter(match=keys.address_prefix(crowd.domain, number) + b"*", count=10_000):
            if client.type(key) == b"string" and (blob := client.get(key))[:1] == b"R":
                found[key] = blob
    return found


def formats(crowd: Crowd) -> set[bytes]:
    return {blob[:2] for blob in records(crowd).values()}


OLD_TAG, NEW_TAG = f"R{RECORD_FORMAT}".encode(), f"R{NEXT_RECORD}".encode()


@pytest.mark.spec("B1", "R4", "B9")
def test_an_older_worker_pauses_at_what_a_newer_one_wrote_and_nothing_is_lost(crowd: Crowd, tmp_path: Path) -> None:
    domain, real, code = crowd.domain, crowd.real, newer_release(tmp_path / "newer")
    third = len(crowd.batches) // 3
    older = Path(__file__).resolve().parents[2]
    with release(real, older, domain, tmp_path / "old.log") as old:
        crowd.publish(crowd.batches[:third])
        eventually(lambda: formats(crowd) == {OLD_TAG}, within=60, what="the old one works alone")
        with release(real, code, domain, tmp_path / "new.log") as new:
            eventually(lambda: old.owns(domain, PARTITIONS // 2) and new.owns(domain, PARTITIONS // 2), within=60, what="each has half")
            crowd.publish(crowd.batches[third : 2 * third])
            eventually(lambda: len(old.health(domain)["paused"]) == PARTITIONS // 2, within=60, what="the old one pauses")
            refused = f"A message has format {NEXT_MESSAGE}"
            assert refused in old.log.read_text()
            assert formats(crowd) == {OLD_TAG, NEW_TAG}
            assert new.health(domain)["paused"] == []
            assert not crowd.progress.in_flight.over, "the old one can't answer"
            assert new.terminate() == 0
        eventually(lambda: old.owns(domain, PARTITIONS), within=60, what="the old one is alone again")
        crowd.publish(crowd.batches[2 * third :])
        eventually(lambda: f"A profile is stored as b'R{NEXT_RECORD}'" in old.log.read_text(), within=60, what="it refuses records, too")
        assert old.value("headrace_paused_partitions", domain=domain) > 0
        before = {key: blob for key, blob in records(crowd).items() if blob[:2] == NEW_TAG}
        assert old.terminate() == 0
        after = records(crowd)
        assert {key: after[key] for key in before} == before, "what it can't read it leaves alone"
    with release(real, code, domain, tmp_path / "new.log") as new:
        crowd.finish(lambda: as_this_release_writes(crowd))
        assert new.health(domain)["paused"] == []


def as_this_release_writes(crowd: Crowd) -> None:
    """The two formats differ by their number alone: so what the newer one stored can be compared here."""
    client: Any = crowd.real.store.client
    for key, blob in records(crowd).items():
        client.set(key, OLD_TAG + blob[2:])
