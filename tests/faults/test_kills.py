"""Worker kill -9, flow kill -9 and double publication leave the oracle's state (SPEC B1, R4), on real Kafka."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.connections import Connection
from headrace.merge import Profile, import_rows
from headrace.outcomes import Outcomes
from profile_store import counts, registry, sequence
from streaming.importing.publish import publish_rows
from streaming.importing.register import register_import
from streaming.importing.scan import scan_goal
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually
from tests.shop import as_csv, customers, plan_in, purchases, shop

ROWS = 120_000
PARTITIONS = 8


@pytest.fixture
def real(valkey: ValkeyServer, apache_kafka: str, empty_s3: S3Server) -> Pipeline:
    made = pipeline(valkey.url, apache_kafka, access_to(empty_s3))
    made.make_bucket("crm")
    return made


@pytest.fixture
def shopped(real: Pipeline, domain_name: str) -> tuple[Connection, dict[bytes, Profile], Outcomes]:
    """A connection with one file to import, and what must come of it."""
    connection = real.apply(shop(domain_name, PARTITIONS), customers(domain_name))
    table = purchases(ROWS, 9_001)
    real.put("crm", "in/a.csv", as_csv(table))
    oracle: dict[bytes, Profile] = {}
    return connection, oracle, import_rows(oracle, table, plan_in(real, connection)).outcomes


def applied(real: Pipeline, domain: str, import_seq: int = 1) -> int:
    """Rows counted so far."""
    stored = registry.get_domain(real.store, domain)
    return counts.progress(real.store, domain, stored.partitions, import_seq).outcomes.rows


def outcomes_on_record(real: Pipeline, domain: str, import_seq: int = 1) -> Outcomes:
    found = sequence.read_result(real.store, domain, import_seq)
    assert found is not None
    assert found["state"] == "COMPLETE"
    return Outcomes(**{name: found[name] for name in Outcomes().as_dict()})


@pytest.mark.spec("B1", "R4")
@pytest.mark.parametrize("seed", [1, 2])
def test_a_worker_killed_again_and_again(
    real: Pipeline, shopped: tuple[Connection, dict[bytes, Profile], Outcomes], domain_name: str, tmp_path: Path, seed: int
) -> None:
    connection, oracle, expected = shopped
    rnd, log = random.Random(seed), tmp_path / "worker.log"
    with real.process("-m", "tests.run_import", connection.name, log=tmp_path / "flow.log") as flow:
        for kill in range(3):
            target = rnd.randrange(ROWS // 6) + kill * ROWS // 5
            with real.process("-m", "streaming.worker", domain_name, log=log) as worker:
                eventually(lambda: applied(real, domain_name) > target or flow.poll() is not None, within=60, what=f"{target} rows applied")  # noqa: B023
                worker.send_signal(signal.SIGKILL)
        with real.process("-m", "streaming.worker", domain_name, log=log):
            eventually(lambda: flow.poll() is not None, within=90, what="the run ends")
        assert flow.returncode == 0, (tmp_path / "flow.log").read_text()
    assert outcomes_on_record(real, domain_name) == expected
    assert real.profiles(domain_name) == oracle


@pytest.mark.spec("B1", "R4")
@pytest.mark.parametrize("seed", [1, 2])
def test_a_flow_killed_and_taken_up_by_the_next_run(
    real: Pipeline, shopped: tuple[Connection, dict[bytes, Profile], Outcomes], domain_name: str, tmp_path: Path, seed: int
) -> None:
    connection, oracle, expected = shopped
    target = random.Random(seed).randrange(ROWS * 3 // 4)
    with real.workers(domain_name, 2):
        with real.process("-m", "tests.run_import", connection.name, log=tmp_path / "flow.log") as flow:
            eventually(lambda: applied(real, domain_name) > target or flow.poll() is not None, within=60, what=f"{target} rows applied")
            flow.kill()
        sequence.drop_lease(real.store, domain_name, 1)  # as if its 15 seconds had passed
        assert [result.state for result in real.run(connection)] in (["COMPLETE"], [])
    assert outcomes_on_record(real, domain_name) == expected
    assert real.profiles(domain_name) == oracle


@pytest.mark.spec("B1")
def test_every_batch_published_three_times(
    real: Pipeline, shopped: tuple[Connection, dict[bytes, Profile], Outcomes], domain_name: str
) -> None:
    connection, oracle, expected = shopped
    goal = connection.import_goals[0]
    [scanned] = scan_goal(real.context, connection, goal)
    registration = register_import(real.context, connection, goal, scanned.version, "first")
    totals = publish_rows(real.context, registration)
    assert publish_rows(real.context, registration) == totals
    with real.workers(domain_name, 2):
        assert [result.outcomes for result in real.run(connection)] == [expected]
    assert real.profiles(domain_name) == oracle


@pytest.mark.spec("B1")
def test_redis_killed_while_workers_merge(
    own_valkey: Callable[[], ValkeyServer], apache_kafka: str, empty_s3: S3Server, domain_name: str, tmp_path: Path
) -> None:
    """Its append-only file has all that was believed; the workers wait, then go on."""
    server = own_valkey()
    real = pipeline(server.url, apache_kafka, access_to(empty_s3))
    real.make_bucket("crm")
    connection = real.apply(shop(domain_name, PARTITIONS), customers(domain_name))
    table = purchases(ROWS, 9_001)
    real.put("crm", "in/a.csv", as_csv(table))
    oracle: dict[bytes, Profile] = {}
    expected = import_rows(oracle, table, plan_in(real, connection)).outcomes
    goal = connection.import_goals[0]
    [scanned] = scan_goal(real.context, connection, goal)
    registration = register_import(real.context, connection, goal, scanned.version, "first")
    publish_rows(real.context, registration)
    with real.process("-m", "streaming.worker", domain_name, log=tmp_path / "worker.log"):
        eventually(lambda: applied(real, domain_name) > ROWS // 4, within=60, what="a quarter applied")
        server.kill()
        own_valkey()
        assert [result.outcomes for result in real.run(connection)] == [expected]
    assert real.profiles(domain_name) == oracle
