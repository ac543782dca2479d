"""Goals changed from the Prefect UI: the deployments for it, and what they do (SPEC C3, C4)."""

from __future__ import annotations

from typing import Any

import pytest

from deployments.bootstrap import bootstrap, deploy_connection
from deployments.goal_flows import activate_goal, copy_goal, deactivate_goal
from profile_store import registry
from tests.integration.prefect_api import PrefectApi
from tests.pipeline import Pipeline
from tests.shop import customers, shop

pytestmark = pytest.mark.slow


@pytest.fixture
def deployed(flow_pipeline: Pipeline, in_prefect: PrefectApi, domain_name: str) -> Pipeline:
    """Connection `crm` with its goal `customers`."""
    bootstrap()
    deploy_connection(flow_pipeline.apply(shop(domain_name), customers(domain_name)))
    return flow_pipeline


def offered(api: PrefectApi, deployment: str, field: str = "goal") -> Any:
    return api.deployment(deployment)["parameter_openapi_schema"]["properties"][field].get("enum")


@pytest.mark.spec("C3", "C4")
def test_a_goal_is_deactivated_activated_and_copied_and_forms_follow(deployed: Pipeline, in_prefect: PrefectApi) -> None:
    assert all(offered(in_prefect, f"{name}/crm") == ["customers"] for name in ("activate-goal", "deactivate-goal", "copy-goal"))

    off = deactivate_goal("crm", "customers", return_state=True)
    assert off.message is not None
    assert off.message.startswith("Goal customers is not active any more.")
    assert not registry.get_connection(deployed.store, "crm").goals[0].active
    assert "(not active)" in in_prefect.deployment("run-connection/crm")["description"]

    copied = copy_goal("crm", "customers", "Second customers", return_state=True)
    assert copied.is_completed()
    assert offered(in_prefect, "run-connection/crm") == ["every active goal", "customers", "second-customers"]
    assert offered(in_prefect, "activate-goal/crm") == ["customers", "second-customers"]

    assert activate_goal("crm", "customers", return_state=True).is_completed()
    assert [one.active for one in registry.get_connection(deployed.store, "crm").goals] == [True, False]

    wrong = copy_goal("crm", "customers", "Second customers", return_state=True)
    assert wrong.is_failed()
    assert wrong.message is not None
    assert wrong.message.startswith("GOAL_EXISTS: ")
