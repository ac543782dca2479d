"""Segments in Prefect: built and proven by flows, whose deployments are there from the start, with a schedule (SPEC S5)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from prefect import State

from deployments.bootstrap import bootstrap
from flows.materialize_segments import materialize_segments, prove_segments
from headrace.domains import Domain
from headrace.yaml_source import Configuration
from profile_store import keys, registry
from profile_store.membership import read_membership
from profile_store.segment_registry import find_segment, read_segments
from streaming.importing.apply import apply_configuration, plan_configuration
from tasks.segments import prove
from tests.integration.prefect_api import PrefectApi
from tests.membership import check_members
from tests.pipeline import Pipeline
from tests.shop import as_csv, customers, purchases, shop

pytestmark = pytest.mark.slow

DEPLOYMENTS = {"materialize-segments/all-domains": "*/5 * * * *", "prove-segments/all-domains": "30 3 * * *"}


def run(flow: Any, api: PrefectApi) -> tuple[State[Any], dict[str, Any]]:
    """Over all domains: how it ended, and its artifacts by key."""
    state: State[Any] = flow(return_state=True)
    return state, api.artifacts(str(state.state_details.flow_run_id))


@pytest.mark.spec("S5")
def test_segments_are_built_and_proven_by_flows(flow_pipeline: Pipeline, in_prefect: PrefectApi, domain_name: str) -> None:
    connection = flow_pipeline.apply(shop(domain_name), customers(domain_name))
    flow_pipeline.put("crm", "in/a.csv", as_csv(purchases(300)))
    with flow_pipeline.workers(domain_name):
        flow_pipeline.run(connection)
    profiles = flow_pipeline.profiles(domain_name)
    rich = {"property": "total", "comparison": "greater_than", "values": ["20"]}
    flow_pipeline.define_segments(domain_name, {"name": "rich", "groups": [{"dimensions": [rich]}]})
    assert check_members(flow_pipeline.store, domain_name, profiles) == {}, "nobody can read it yet"

    state, _ = run(materialize_segments, in_prefect)
    assert (state.is_completed(), state.message) == (True, f"Built: {domain_name}/rich.")
    members = check_members(flow_pipeline.store, domain_name, profiles)["rich"]
    assert 0 < members < len(profiles)
    state, _ = run(materialize_segments, in_prefect)
    assert (state.is_completed(), state.message) == (True, "Nothing was to be built.")

    state, artifacts = run(prove_segments, in_prefect)
    assert (state.is_completed(), state.message) == (True, f"1 segments, {len(profiles)} profiles: no drift.")
    assert f"| `{domain_name}` | `rich` | {members} | 0 | 0 |" in artifacts["segments-proof"]["data"]

    found = find_segment(flow_pipeline.store, domain_name, "rich")
    somebody = int(read_membership(flow_pipeline.store, domain_name, 0, found.id).numbers[0])
    key = keys.segment_members(domain_name, 0, f"{found.id}.{found.live}")
    flow_pipeline.store.node_of(key).setbit(key, somebody, 0)
    state, artifacts = run(prove_segments, in_prefect)
    assert (state.is_failed(), state.message) == (True, "Membership has drifted in 1 domains.")
    assert f"| `{domain_name}` | `rich` | {members} | 1 | 0 |" in artifacts["segments-proof"]["data"]


@pytest.mark.spec("B7", "S5")
def test_segments_follow_a_property_that_whoever_died_gave_another_shape(
    flow_pipeline: Pipeline, in_prefect: PrefectApi, domain_name: str
) -> None:
    """`apply` changes the domain, then its segments; killed between the two it leaves the segments with a property that nothing writes any more."""
    store = flow_pipeline.store

    def domain(**mail: str) -> Domain:
        properties = [{"name": "customer_id", "identifier": True}, {"name": "mail", **mail}]
        return Domain.model_validate({"version": 1, "kind": "domain", "name": domain_name, "partitions": 2, "properties": properties})

    def compared() -> set[int]:
        return {one.id for one in read_segments(store, domain_name).defined.properties}

    apply_configuration(flow_pipeline.context, plan_configuration(store, Configuration({domain_name: domain()}, {})), "")
    ours = {"property": "mail", "comparison": "ends_with", "values": ["@example.com"]}
    flow_pipeline.define_segments(domain_name, {"name": "ours", "groups": [{"dimensions": [ours]}]})
    before = compared()
    plan = plan_configuration(store, Configuration({domain_name: domain(type="email")}, {}))
    assert [one.kind for each in plan.segments for one in each.changes] == ["follows"]
    apply_configuration(flow_pipeline.context, replace(plan, segments=()), "")
    assert compared() == before

    assert run(materialize_segments, in_prefect)[0].is_completed()
    found = registry.get_domain(store, domain_name).schema.find("mail")
    assert found is not None
    assert compared() == {found.id} != before


@pytest.mark.spec("S5")
def test_a_domain_that_fails_keeps_no_other_from_its_turn(
    flow_pipeline: Pipeline, in_prefect: PrefectApi, domain_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the first one Redis lost what its segment means, which the step takes for an outage: it is tried again for two minutes, here at once."""
    monkeypatch.setattr(prove, "retry_delay_seconds", 0)
    broken, other = f"{domain_name}-a", f"{domain_name}-b"
    rich = {"property": "total", "comparison": "greater_than", "values": ["20"]}
    for name in (broken, other):
        flow_pipeline.apply(shop(name), customers(name), connection=name)
        flow_pipeline.define_segments(name, {"name": "rich", "groups": [{"dimensions": [rich]}]})
    registration = find_segment(flow_pipeline.store, broken, "rich").generation
    flow_pipeline.store.client.delete(keys.registration(broken, registration))

    state, artifacts = run(prove_segments, in_prefect)

    assert state.is_failed()
    assert state.message is not None
    assert state.message.startswith(f"1 segments, 0 profiles: no drift. Domain {broken}: ")
    assert f"| `{other}` | `rich` | 0 | 0 | 0 |" in artifacts["segments-proof"]["data"]


@pytest.mark.spec("S5")
def test_both_are_deployed_with_a_schedule_that_people_may_switch_off(in_prefect: PrefectApi) -> None:
    bootstrap()
    there = {name: in_prefect.deployment(name) for name in DEPLOYMENTS}
    assert {name: [one["schedule"]["cron"] for one in found["schedules"]] for name, found in there.items()} == {
        name: [cron] for name, cron in DEPLOYMENTS.items()
    }
    assert {found["work_queue_name"] for found in there.values()} == {"all domains"}, "whose ticks never pile up"
    proving = there["prove-segments/all-domains"]
    in_prefect.patch(f"/deployments/{proving['id']}/schedules/{proving['schedules'][0]['id']}", active=False)

    bootstrap()

    [schedule] = in_prefect.deployment("prove-segments/all-domains")["schedules"]
    assert (schedule["id"], schedule["active"]) == (proving["schedules"][0]["id"], False)
