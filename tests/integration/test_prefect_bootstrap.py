"""The bootstrap against a real Prefect server: twice, at once, and without undoing what users did."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from deployments.bootstrap import bootstrap, deploy_connection
from deployments.forms import TAG
from deployments.zombies import SILENCE, zombie_automation
from headrace.connections import Connection
from headrace.errors import ConfigurationError
from tests.integration.prefect_api import PrefectApi

pytestmark = pytest.mark.slow

CONNECTION: dict[str, Any] = {
    "version": 1,
    "kind": "connection",
    "name": "crm",
    "description": "Nightly CRM dump",
    "labels": ["nightly"],
    "goals": [
        {
            "kind": "import_profiles",
            "id": "customers",
            "name": "Customers",
            "domain": "retail",
            "source": {"bucket": "crm-files", "files": "*.csv"},
            "link": [{"column": "id", "property": "customer_id"}],
            "mappings": [{"column": "tier", "property": "tier"}],
        }
    ],
}


@pytest.fixture
def bootstrapped(in_prefect: PrefectApi) -> PrefectApi:
    bootstrap()
    return in_prefect


def deploy(connection: dict[str, Any]) -> None:
    deploy_connection(Connection.model_validate(connection))


def test_one_of_everything_after_many_bootstraps_at_once(in_prefect: PrefectApi) -> None:
    """As when several containers start together; the test runs first here, on a server that has nothing yet."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        for one in [pool.submit(copy_context().run, bootstrap) for _ in range(4)]:
            one.result()

    pools = in_prefect.post("/work_pools/filter")
    deployments = in_prefect.post("/deployments/filter", deployments={"name": {"any_": ["any-connection"]}})
    automations = in_prefect.post("/automations/filter")

    assert [(pool["name"], pool["type"]) for pool in pools] == [("headrace", "process")]
    assert sorted(deployment["entrypoint"] for deployment in deployments) == [
        "flows.import_profiles.import_profiles",
        "flows.run_connection.run_connection",
    ]
    assert len(automations) == 1
    assert automations[0]["enabled"]
    assert len(in_prefect.deployment("materialize-segments/all-domains")["schedules"]) == 1


def test_bootstrap_keeps_a_schedule_and_a_limit_that_a_user_made(bootstrapped: PrefectApi) -> None:
    deployment = bootstrapped.deployment("import-profiles/any-connection")
    bootstrapped.request("DELETE", f"/deployments/{deployment['id']}")
    bootstrap()
    deployment = bootstrapped.deployment("import-profiles/any-connection")
    schedule = {"schedule": {"cron": "0 3 * * *", "timezone": "UTC"}, "active": True, "parameters": {"connection": "crm"}}
    bootstrapped.request("POST", f"/deployments/{deployment['id']}/schedules", [schedule])
    bootstrapped.patch("/work_pools/headrace", concurrency_limit=7)

    bootstrap()

    after = bootstrapped.deployment("import-profiles/any-connection")
    assert [one["schedule"]["cron"] for one in after["schedules"]] == ["0 3 * * *"]
    assert bootstrapped.get("/work_pools/headrace")["concurrency_limit"] == 7


def test_bootstrap_leaves_its_own_schedules_as_users_switched_them(bootstrapped: PrefectApi) -> None:
    before = {}
    for one in bootstrapped.post("/deployments/filter"):
        for schedule in one["schedules"]:
            bootstrapped.patch(f"/deployments/{one['id']}/schedules/{schedule['id']}", active=False)
            before[schedule["id"]] = one["name"], schedule["slug"]
    assert len(before) >= 4, "of segments and of upload jobs, two each"

    bootstrap()

    after = [(one["name"], schedule) for one in bootstrapped.post("/deployments/filter") for schedule in one["schedules"]]
    assert {schedule["id"]: (name, schedule["slug"]) for name, schedule in after} == before
    assert not any(schedule["active"] for _, schedule in after)


def test_of_two_automations_the_oldest_stays(bootstrapped: PrefectApi) -> None:
    """Prefect takes a second one of the same name, which two bootstraps at once may make."""
    (oldest,) = bootstrapped.post("/automations/filter")
    with get_client(sync_client=True) as client:
        client.create_automation(zombie_automation(TAG, SILENCE))
        client.create_automation(zombie_automation(TAG, timedelta(seconds=20)))

    bootstrap()

    assert [one["id"] for one in bootstrapped.post("/automations/filter")] == [oldest["id"]]


def test_bootstrap_puts_back_an_automation_that_was_switched_off(bootstrapped: PrefectApi) -> None:
    (automation,) = bootstrapped.post("/automations/filter")
    bootstrapped.patch(f"/automations/{automation['id']}", enabled=False)

    bootstrap()

    (after,) = bootstrapped.post("/automations/filter")
    assert after["enabled"]
    assert after["id"] == automation["id"]


def test_the_form_is_flat_and_every_field_says_what_it_is(bootstrapped: PrefectApi) -> None:
    """Optional fields would show as a toggle, nested ones as boxes: strings alone."""
    schema = bootstrapped.deployment("import-profiles/any-connection")["parameter_openapi_schema"]

    assert set(schema["properties"]) == {"connection", "goal"}
    assert schema["required"] == ["connection"]
    for field in schema["properties"].values():
        assert field["type"] == "string"
        assert field["description"]


def test_a_connection_has_a_deployment_with_its_goals_to_choose_from(bootstrapped: PrefectApi) -> None:
    deploy(CONNECTION)
    deploy(CONNECTION)

    deployment = bootstrapped.deployment("import-profiles/crm")
    assert deployment["parameters"] == {"connection": "crm", "goal": "every active goal"}
    assert deployment["parameter_openapi_schema"]["properties"]["goal"]["enum"] == ["every active goal", "customers"]
    assert not deployment["parameter_openapi_schema"].get("required"), "else Quick run asks for it"
    assert deployment["tags"] == ["headrace", "nightly"]
    assert "Nightly CRM dump" in deployment["description"]
    assert not deployment["paused"]


@pytest.mark.spec("C4")
def test_the_deployment_of_a_connection_that_is_off_rests(bootstrapped: PrefectApi) -> None:
    deploy(CONNECTION)
    deploy({**CONNECTION, "enabled": False})
    assert bootstrapped.deployment("import-profiles/crm")["paused"]

    deploy(CONNECTION)
    assert not bootstrapped.deployment("import-profiles/crm")["paused"]


def test_a_connection_without_import_goals_only_lists_buckets(bootstrapped: PrefectApi) -> None:
    deploy(CONNECTION)
    deploy({**CONNECTION, "goals": []})
    deploy({**CONNECTION, "goals": []})

    found = bootstrapped.post("/deployments/filter", deployments={"name": {"any_": ["crm"]}})
    assert [one["entrypoint"] for one in found] == ["flows.list_buckets.list_buckets"]


def test_no_connection_takes_the_name_of_the_deployment_for_all(bootstrapped: PrefectApi) -> None:
    with pytest.raises(ConfigurationError, match="choose another name"):
        deploy({**CONNECTION, "name": "any-connection"})
    assert bootstrapped.deployment("import-profiles/any-connection")["parameters"] == {}


def schedules(api: PrefectApi, deployment: str = "run-connection/crm") -> dict[str, str]:
    """Of a deployment: slug → cron line."""
    return {one["slug"]: one["schedule"]["cron"] for one in api.deployment(deployment)["schedules"]}


@pytest.mark.spec("R2")
def test_schedules_of_the_file_are_replaced_and_those_of_users_stay(bootstrapped: PrefectApi) -> None:
    deploy({**CONNECTION, "schedule": [{"days_of_week": ["mon"], "at": "03:00"}, {"days_of_month": ["last"]}]})
    deployment = bootstrapped.deployment("run-connection/crm")["id"]
    users = {"schedule": {"cron": "0 5 * * *", "timezone": "UTC"}, "active": True, "slug": "by-hand"}
    bootstrapped.request("POST", f"/deployments/{deployment}/schedules", [users])
    assert schedules(bootstrapped) == {"headrace-1-1": "0 3 * * 1", "headrace-2-1": "0 0 L * *", "by-hand": "0 5 * * *"}
    before = {one["slug"]: one["id"] for one in bootstrapped.deployment("run-connection/crm")["schedules"]}

    deploy({**CONNECTION, "schedule": [{"days_of_week": ["mon"], "at": "03:00"}, {"weekday_of_month": "last friday"}]})
    assert schedules(bootstrapped) == {"headrace-1-1": "0 3 * * 1", "headrace-2-1": "0 0 * * L5", "by-hand": "0 5 * * *"}
    after = {one["slug"]: one["id"] for one in bootstrapped.deployment("run-connection/crm")["schedules"]}
    assert after["headrace-1-1"] == before["headrace-1-1"], "what did not change was not touched"

    deploy(CONNECTION)
    assert schedules(bootstrapped) == {"by-hand": "0 5 * * *"}
    assert bootstrapped.deployment("import-profiles/crm")["schedules"] == [], "one run for all goals, not one for each kind"


@pytest.mark.spec("R2")
def test_runs_of_a_connection_wait_in_a_queue_that_starts_three_at_most(bootstrapped: PrefectApi) -> None:
    """A run that goes on, one that waits, one that is spared: ticks behind them cost no process."""
    deploy(CONNECTION)
    assert bootstrapped.get("/work_pools/headrace/queues/crm")["concurrency_limit"] == 3
    assert bootstrapped.deployment("run-connection/crm")["work_queue_name"] == "crm"
    bootstrapped.patch("/work_pools/headrace/queues/crm", concurrency_limit=5)

    deploy(CONNECTION)
    assert bootstrapped.get("/work_pools/headrace/queues/crm")["concurrency_limit"] == 5, "somebody's own limit"
