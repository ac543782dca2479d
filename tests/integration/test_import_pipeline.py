"""An import through real S3 protocol, Kafka and Redis, held to the oracle."""

from __future__ import annotations

import pytest

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.address import domain_key
from headrace.merge import Profile, import_rows
from headrace.outcomes import Outcomes
from tests.pipeline import Pipeline, access_to, pipeline
from tests.servers.valkey import RedisTarget
from tests.shop import as_csv, customers, plan_in, purchases, shop


@pytest.fixture
def real(redis_target: RedisTarget, kafka_bootstrap_servers: str, empty_s3: S3Server) -> Pipeline:
    """On one node and on the cluster, on Apache Kafka and on Tansu."""
    made = pipeline(redis_target.url, kafka_bootstrap_servers, access_to(empty_s3), cluster=redis_target.cluster)
    made.make_bucket("crm")
    return made


@pytest.mark.spec("I2", "M2", "M12", "R4", "I13", "I10")
def test_files_become_profiles_one_after_the_other(real: Pipeline, domain_name: str) -> None:
    connection = real.apply(shop(domain_name), customers(domain_name))
    tables = [purchases(1500), purchases(700, 150)]
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


@pytest.mark.spec("I2", "M1")
def test_one_profile_identifier_in_two_domains_is_two_profiles(
    valkey: ValkeyServer, apache_kafka: str, empty_s3: S3Server, domain_name: str
) -> None:
    real = pipeline(valkey.url, apache_kafka, access_to(empty_s3))
    real.make_bucket("crm")
    real.put("crm", "in/a.csv", as_csv([{"id": "0123456789abcdef" * 2, "amount": "5", "day": "2026-01-31", "tags": "a"}]))
    for name in (f"{domain_name}-a", f"{domain_name}-b"):
        goal = customers(name, link=[{"column": "id", "property": "profile_identifier"}])
        connection = real.apply(shop(name), goal, connection=name)
        with real.workers(name):
            assert [result.outcomes.created for result in real.run(connection)] == [1]
        assert real.profiles(name) == {
            bytes.fromhex("0123456789abcdef" * 2): {"total": "5", "first": "2026-01-31", "last": "2026-01-31", "tags": ("a",)}
        }
