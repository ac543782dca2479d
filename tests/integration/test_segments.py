"""Segments through the real path: membership is what the definitions say after every import, whatever goes on (SPEC S2, S3, S5, B7)."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.domains import Domain
from headrace.errors import ConfigurationError, TerminalError
from headrace.segments import Segment
from headrace.yaml_source import Configuration
from profile_store import keys, registry
from profile_store.membership import count_members, read_membership
from profile_store.segment_registry import find_segment, segments_of
from streaming.importing.apply import apply_configuration, plan_configuration
from streaming.importing.apply_segments import change_segments
from streaming.segments.materialize import materialize
from streaming.segments.proof import prove
from tests.files import csv_bytes
from tests.integration.test_erasure import erase
from tests.integration.test_identifiers import COLUMNS, goal, people
from tests.membership import check_members
from tests.pipeline import Pipeline, access_to, pipeline
from tests.servers.valkey import RedisTarget

LINK = [{"column": "id", "property": "customer_id"}]


@pytest.fixture
def real(valkey: ValkeyServer, tansu_server: BrokerServer, empty_s3: S3Server) -> Pipeline:
    made = pipeline(valkey.url, tansu_server.bootstrap_servers, access_to(empty_s3))
    made.make_bucket("crm")
    return made


@pytest.fixture
def anywhere(redis_target: RedisTarget, tansu_server: BrokerServer, empty_s3: S3Server) -> Pipeline:
    """On one node, and on the cluster."""
    made = pipeline(redis_target.url, tansu_server.bootstrap_servers, access_to(empty_s3), cluster=redis_target.cluster)
    made.make_bucket("crm")
    return made


def comparing(name: str, kind: str, *values: str) -> dict[str, Any]:
    return {"property": name, "comparison": kind, "values": values}


def segment(name: str, *dimensions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "groups": [{"dimensions": dimensions, **more}]}


SEGMENTS = (
    segment("rich", comparing("total", "greater_than_or_equal", "50")),
    segment("gold", comparing("tier", "inclusive", "gold", "platinum")),
    segment("not-gold", comparing("tier", "exclusive", "gold")),
    segment("reachable", comparing("email", "ends_with", "@example.com"), comparing("phone", "begins_with", "+1"), type="any"),
    segment("rich-gold", comparing("customer_id", "contains", "1"), source_segments=["rich", "gold"], source_type="any"),
    segment("nobody-special", comparing("phone", "exclusive", "+1"), source_segments=["rich", "gold"], source_type="none"),
)


def rows(seed: int, count: int = 400, people_there: int = 60) -> list[dict[str, str]]:
    """Customers who contend for e-mails and phones: claims are denied, and values come back."""
    rnd = random.Random(seed)
    return [
        {
            "id": f"C{rnd.randrange(people_there)}",
            "mail": rnd.choice(("", f"p{rnd.randrange(people_there)}@example.{rnd.choice(('com', 'org'))}")),
            "phone": rnd.choice(("", f"+{rnd.randrange(20)}")),
            "amount": rnd.choice(("", f"{rnd.randrange(-20, 40)}.{rnd.randrange(10)}")),
            "tier": rnd.choice(("", "gold", "silver", "platinum")),
        }
        for _ in range(count)
    ]


def prepared(real: Pipeline, domain: str) -> Any:
    first = goal(domain, "first", LINK, mail="set", phone="set_if_empty", amount="sum", tier="set")
    return real.apply_goals(people(domain), [first, goal(domain, "tiers", LINK, tier="set")])


def imported(real: Pipeline, connection: Any, name: str, table: list[dict[str, str]]) -> None:
    real.put("crm", f"{name}/a.csv", csv_bytes(table, COLUMNS))
    assert [one.state for one in real.run(connection)] == ["COMPLETE"]


@pytest.mark.spec("B7", "S2", "S3")
def test_membership_is_never_behind_the_imports(real: Pipeline, domain_name: str) -> None:
    connection = prepared(real, domain_name)
    real.define_segments(domain_name, *SEGMENTS)
    with real.workers(domain_name, 2):
        imported(real, connection, "first", rows(1))
        counts = check_members(real.store, domain_name, real.profiles(domain_name))
        assert len(counts) == len(SEGMENTS)
        assert all(counts.values())
        imported(real, connection, "tiers", rows(2, 100, 80))
        check_members(real.store, domain_name, real.profiles(domain_name))
        assert erase(real, domain_name, "customer_id", "C1").outcomes.updated == 1
        check_members(real.store, domain_name, real.profiles(domain_name))
        imported(real, connection, "first", rows(3))
        counts = check_members(real.store, domain_name, real.profiles(domain_name))
    found = find_segment(real.store, domain_name, "rich")
    assert count_members(real.store, domain_name, registry.get_domain(real.store, domain_name).partitions, found.id) == counts["rich"]
    proof = prove(real.store, domain_name)
    assert (proof.drifts, proof.members) == ([], counts)


@pytest.mark.spec("S5", "B7")
def test_a_definition_is_built_while_imports_and_erasures_go_on(anywhere: Pipeline, domain_name: str) -> None:
    real = anywhere
    connection = prepared(real, domain_name)
    with real.workers(domain_name, 2):
        imported(real, connection, "first", rows(1))
        real.define_segments(domain_name, *SEGMENTS)
        rich = find_segment(real.store, domain_name, "rich")
        with pytest.raises(TerminalError, match="SEGMENT_NOT_READY"):
            read_membership(real.store, domain_name, 0, rich.id)
        imported(real, connection, "first", rows(2))  # touches some; new ones, too
        erase(real, domain_name, "customer_id", "C3")
        with ThreadPoolExecutor(1) as flow:
            building = flow.submit(materialize, real.store, domain_name)
            imported(real, connection, "tiers", rows(3, 300, 120))
            assert len(building.result(60).built) == len(SEGMENTS)
        assert [one.is_current for one in segments_of(real.store, domain_name)] == [True] * len(SEGMENTS)
        assert all(check_members(real.store, domain_name, real.profiles(domain_name)).values())
        imported(real, connection, "first", rows(4))
        assert all(check_members(real.store, domain_name, real.profiles(domain_name)).values())
        real.define_segments(domain_name, segment("rich", comparing("total", "less_than", "20")))
        changed = find_segment(real.store, domain_name, "rich")
        assert changed.live == rich.generation < changed.generation
        imported(real, connection, "tiers", rows(5, 100, 130))
        check_members(real.store, domain_name, real.profiles(domain_name))  # the old one goes on until the new one is whole
        built = materialize(real.store, domain_name)
        assert set(built.built) == {"rich", "rich-gold", "nobody-special"}, "what is made of it follows"
        assert built.waiting == ()
        imported(real, connection, "first", rows(6))
    check_members(real.store, domain_name, real.profiles(domain_name))
    assert prove(real.store, domain_name).drifts == []
    assert materialize(real.store, domain_name).built == ()


@pytest.mark.spec("S5")
def test_drift_is_seen(real: Pipeline, domain_name: str) -> None:
    connection = prepared(real, domain_name)
    real.define_segments(domain_name, SEGMENTS[1])
    with real.workers(domain_name):
        imported(real, connection, "first", rows(1, 100))
    gold = find_segment(real.store, domain_name, "gold")
    key = keys.segment_members(domain_name, 0, f"{gold.id}.{gold.live}")
    was = read_membership(real.store, domain_name, 0, gold.id)
    number = int(was.numbers[0])
    real.store.node_of(key).setbit(key, number, 0)
    real.store.node_of(key).setbit(key, number + 1 if number + 1 not in was.numbers else number + 2, 1)
    [drift] = prove(real.store, domain_name).drifts
    assert (drift.segment, drift.partition, drift.missing) == ("gold", 0, 1)


def test_a_property_that_a_segment_compares_stays(real: Pipeline, domain_name: str) -> None:
    prepared(real, domain_name)
    real.define_segments(domain_name, SEGMENTS[1])
    without = people(domain_name) | {"properties": [one for one in people(domain_name)["properties"] if one["name"] != "tier"]}
    written = Domain.model_validate({"version": 1, "kind": "domain", **without})
    stored = registry.get_connection(real.store, "crm")
    configuration = Configuration({domain_name: written}, {"crm": stored.model_copy(update={"goals": ()})})
    with pytest.raises(ConfigurationError, match="'tier' is compared by segment gold"):
        plan_configuration(real.store, configuration)
    assert change_segments(real.context, domain_name, (), ("gold",))
    assert segments_of(real.store, domain_name) == []


@pytest.mark.spec("B7", "S3")
def test_a_property_keeps_a_type_that_its_segments_can_compare(real: Pipeline, domain_name: str) -> None:
    """Without profiles a type may change. A worker that can't compare what a segment says could apply nothing to the domain any more."""
    connection = prepared(real, domain_name)
    without_sum = connection.model_copy(update={"goals": connection.goals[1:]})
    real.define_segments(domain_name, SEGMENTS[0], SEGMENTS[1])
    written = people(domain_name)
    written["properties"] = [one | ({"type": "text"} if one["name"] == "total" else {}) for one in written["properties"]]
    changed = {domain_name: Domain.model_validate({"version": 1, "kind": "domain", **written})}
    with pytest.raises(ConfigurationError, match=r"segment rich: .*: a text can't be compared by greater_than_or_equal") as refused:
        plan_configuration(real.store, Configuration(changed, {"crm": without_sum}))
    assert "gold" not in str(refused.value)
    longer = Segment.model_validate(
        {"version": 1, "kind": "segment", "domain": domain_name, **segment("rich", comparing("total", "begins_with", "5"))}
    )
    together = Configuration(changed, {"crm": without_sum}, {(domain_name, "rich"): longer})
    apply_configuration(real.context, plan_configuration(real.store, together), "")
    with real.workers(domain_name):
        imported(real, registry.get_connection(real.store, "crm"), "tiers", rows(2, 100, 80))
    assert len(real.profiles(domain_name)) > 0
