"""An import through real S3 protocol, Kafka and Redis, held to the oracle."""

from __future__ import annotations

import csv
import io
import uuid
from typing import Any

import pytest

from deployments.embedded.s3 import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, S3Server
from headrace.address import domain_key
from headrace.import_plan import ImportPlan
from headrace.merge import Profile, import_rows
from headrace.outcomes import Outcomes
from object_store.access import S3Access
from profile_store import registry
from streaming.importing.plan import plan_of
from tests.pipeline import Pipeline, pipeline
from tests.servers.valkey import RedisTarget


def access_to(server: S3Server) -> S3Access:
    return S3Access(server.endpoint_url, REGION, ACCESS_KEY_ID, SECRET_ACCESS_KEY)


@pytest.fixture
def real(redis_target: RedisTarget, kafka_bootstrap_servers: str, empty_s3: S3Server) -> Pipeline:
    """On one node and on the cluster, on Apache Kafka and on Tansu."""
    made = pipeline(redis_target.url, kafka_bootstrap_servers, access_to(empty_s3), cluster=redis_target.cluster)
    made.make_bucket("crm")
    return made


@pytest.fixture
def domain_name() -> str:
    return f"d{uuid.uuid4().hex[:12]}"


def shop(name: str, partitions: int = 4) -> dict[str, Any]:
    return {
        "name": name,
        "partitions": partitions,
        "properties": [
            {"name": "customer_id", "identifier": True},
            {"name": "total", "type": "number"},
            {"name": "first", "type": "date"},
            {"name": "last", "type": "date"},
            {"name": "tags", "multiple": True},
        ],
    }


def customers(domain: str) -> dict[str, Any]:
    return {
        "domain": domain,
        "source": {"bucket": "crm", "directory": "in/", "files": "*.csv"},
        "format": {"multi_value": "|"},
        "link": [{"column": "id", "property": "customer_id"}],
        "allow_creation": True,
        "mappings": [
            {"column": "amount", "property": "total", "rule": "sum"},
            {"column": "day", "property": "first", "rule": "set_if_empty"},
            {"column": "day", "property": "last", "rule": "set"},
            {"column": "tags", "property": "tags", "rule": "add"},
        ],
    }


def rows(count: int, customers_there: int = 97) -> list[dict[str, str]]:
    return [
        {"id": f"C{n * 7 % customers_there}", "amount": f"{n % 13}.{n % 100:02d}", "day": f"2026-{1 + n % 12:02d}-{1 + n % 28:02d}", "tags": f"t{n % 5}|t{n % 3}"}
        for n in range(count)
    ]


def as_csv(table: list[dict[str, str]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, ["id", "amount", "day", "tags"])
    writer.writeheader()
    writer.writerows(table)
    return out.getvalue().encode()


def plan_in(real: Pipeline, connection: Any) -> ImportPlan:
    goal = connection.import_goals[0]
    return plan_of(goal, registry.get_domain(real.store, goal.domain))


@pytest.mark.spec("I2", "M2", "M12", "R4", "I13", "I10")
def test_files_become_profiles_one_after_the_other(real: Pipeline, domain_name: str) -> None:
    connection = real.apply(shop(domain_name), customers(domain_name))
    tables = [rows(1500), rows(700, 150)]
    for number, table in enumerate(tables):
        real.put("crm", f"in/{number}.csv", as_csv(table))
    with real.workers(domain_name):
        results = real.run(connection)
        assert [result.state for result in results] == ["COMPLETE", "COMPLETE"]
        assert real.run(connection) == []
    oracle: dict[bytes, Profile] = {}
    plan = plan_in(real, connection)
    expected = [import_rows(oracle, table, plan).outcomes for table in tables]
    assert [result.outcomes for result in results] == expected
    assert [outcomes.rows for outcomes in expected] == [1500, 700]
    assert real.profiles(domain_name) == oracle
    assert len(oracle) == 150
    assert bytes.fromhex(plan.address_key) == domain_key(domain_name, "")
    assert Outcomes() not in expected
