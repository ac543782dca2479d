"""The table of deployed flows: what every entry keeps to, whichever flow it is for."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from deployments.deployed import DEPLOYED
from deployments.forms import DeployedFlow, DeploymentForm
from headrace.connections import Connection

CONNECTION = Connection.model_validate(
    {
        "version": 1,
        "kind": "connection",
        "name": "crm",
        "goals": [
            {
                "kind": "import_profiles",
                "id": "customers",
                "name": "Customers",
                "domain": "retail",
                "source": {"bucket": "crm-files"},
                "link": [{"column": "id", "property": "customer_id"}],
            }
        ],
    }
)


def forms(deployed: DeployedFlow) -> list[DeploymentForm]:
    own = deployed.of_connection(CONNECTION) if deployed.of_connection else None
    standing = deployed.standing() if deployed.standing else None
    return [form for form in (own, standing) if form is not None]


def fields(form: DeploymentForm) -> list[dict[str, Any]]:
    return list(form.schema["properties"].values())


@pytest.mark.parametrize("deployed", DEPLOYED, ids=lambda one: one.flow.name)
def test_a_prefect_worker_finds_the_flow_by_its_module(deployed: DeployedFlow) -> None:
    module, _, name = deployed.entrypoint.rpartition(".")
    assert getattr(importlib.import_module(module), name) is deployed.flow


@pytest.mark.parametrize("deployed", DEPLOYED, ids=lambda one: one.flow.name)
def test_forms_are_flat_and_say_what_each_field_is(deployed: DeployedFlow) -> None:
    for form in forms(deployed):
        for field in fields(form):
            assert field["type"] in ("string", "integer", "number", "boolean")
            assert field["description"]


@pytest.mark.parametrize("deployed", [one for one in DEPLOYED if one.of_connection], ids=lambda one: one.flow.name)
def test_the_form_of_a_connection_is_filled_in_with_it(deployed: DeployedFlow) -> None:
    assert deployed.of_connection is not None
    form = deployed.of_connection(CONNECTION)
    if form is not None:
        assert form.name == form.parameters["connection"] == "crm"
        assert form.schema["properties"]["connection"]["enum"] == ["crm"]


def test_no_two_flows_have_one_name() -> None:
    assert len({one.flow.name for one in DEPLOYED}) == len(DEPLOYED)
