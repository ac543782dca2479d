"""Random files, rules, duplicates, settings and splits into files, through S3, Kafka and Redis: profiles and counts equal the oracle's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.connections import Connection
from headrace.import_plan import ImportPlan
from headrace.merge import Profile, import_rows
from profile_store import keys, registry
from profile_store.records import decode_record
from tests.examples import examples
from tests.files import COLUMNS, FORMAT, OBJECTIVES, csv_bytes, plans, tables
from tests.pipeline import Pipeline, access_to, pipeline
from tests.shop import plan_in

DOMAIN = "hypothesis"
PARTITIONS = 3
EXAMPLES = examples(20)
_numbers = itertools.count()


@pytest.fixture(scope="module")
def real(valkey_server: ValkeyServer, apache_kafka: str, s3_server: S3Server) -> Iterator[Pipeline]:
    made = pipeline(valkey_server.url, apache_kafka, access_to(s3_server))
    with made.store.client as client:
        client.flushall()
    made.make_bucket("hypothesis")
    made.apply(domain(), {**goal_of(empty_plan(), "warm-up/"), "mappings": []}, "warm-up")
    with made.workers(DOMAIN, 2):
        yield made


def empty_plan() -> ImportPlan:
    return ImportPlan.model_validate(
        {
            "domain": DOMAIN,
            "partitions": PARTITIONS,
            "address_key": "",
            "schema_version": 1,
            "width": 0,
            "links": [{"column": "id", "property": "customer_id"}],
            "mappings": [],
        }
    )


def domain() -> dict[str, Any]:
    listed = {"tags": "text", "scores": "number"}
    single = {
        "name": "text",
        "first": "text",
        "points": "number",
        "day": "date",
        "seen": "datetime",
        "mail": "email",
        "ok": "boolean",
        "last_day": "date",
    }
    properties = [{"name": "customer_id", "identifier": True}, *({"name": name, "type": kind} for name, kind in single.items())]
    properties += [{"name": name, "type": kind, "multiple": True} for name, kind in listed.items()]
    return {"name": DOMAIN, "partitions": PARTITIONS, "properties": properties, "objectives": OBJECTIVES}


def goal_of(plan: ImportPlan, directory: str) -> dict[str, Any]:
    return {
        "domain": DOMAIN,
        "source": {"bucket": "hypothesis", "directory": directory, "files": "*.csv"},
        "format": {"multi_value": "|", "time_zone": FORMAT.time_zone},
        "link": [{"column": "id", "property": "customer_id"}],
        "allow_creation": plan.allow_creation,
        "on_bad_cell": plan.on_bad_cell,
        "mappings": [
            {"column": one.column, "property": one.property, "rule": one.rule, "blank": one.blank}
            for one in plan.mappings
            if not one.identifier
        ],
    }


def profiles_at(real: Pipeline, addresses: set[bytes]) -> dict[bytes, Profile]:
    stored = registry.get_domain(real.store, DOMAIN)
    names = {one.id: one.name for one in stored.schema.properties}
    multiple = frozenset(one.id for one in stored.schema.properties if one.multiple)
    found: dict[bytes, Profile] = {}
    for partition in range(PARTITIONS):
        blobs = real.store.client.mget([keys.address_prefix(DOMAIN, partition) + address for address in addresses]) if addresses else []
        for address, blob in zip(addresses, blobs, strict=True):
            if blob is not None:
                found[address] = {names[identity]: value for identity, value in decode_record(blob, multiple).values.items()}
    return found


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
@pytest.mark.spec("M2", "M4", "M5", "M6", "M7", "M11", "M12", "P1", "R3", "R4", "I13", "B1")
def test_the_real_path_gives_what_the_oracle_gives(real: Pipeline, data: st.DataObject) -> None:
    number = next(_numbers)
    drawn = data.draw(plans(domain=DOMAIN, partitions=PARTITIONS))
    table = data.draw(tables(max_rows=80, prefix=f"n{number}-"))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(table)), max_size=2)))
    files = [table[a:b] for a, b in itertools.pairwise([0, *cuts, len(table)])]
    oracle: dict[bytes, Profile] = {}
    for history in range(data.draw(st.integers(1, 2))):  # a second goal over the same customers, under other rules
        plan = drawn if history == 0 else data.draw(plans(domain=DOMAIN, partitions=PARTITIONS))
        directory = f"{number}/{history}/"
        connection: Connection = real.apply(domain(), goal_of(plan, directory), f"c{number}-{history}", objectives=plan.objectives)
        for place, rows in enumerate(files):
            real.put("hypothesis", f"{directory}{place}.csv", csv_bytes(rows, COLUMNS))
        results = real.run(connection)
        real_plan = plan_in(real, connection)
        expected = [import_rows(oracle, rows, real_plan) for rows in files]
        assert [result.outcomes for result in results] == [one.outcomes for one in expected]
        assert real.imported(DOMAIN, connection.name) == (set[bytes]().union(*(one.imported for one in expected)), 0)
        assert all(result.state == "COMPLETE" for result in results)
    touched = {address for row in table if isinstance(address := real_plan.address_of_row(row), bytes)}
    assert profiles_at(real, touched) == oracle
