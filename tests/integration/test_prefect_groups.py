"""The flows that import, by kind of goal: each takes its own, `run_connection` all, in their listed order (SPEC G, I13)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from flows.import_groups import import_groups
from flows.import_profiles import import_profiles
from flows.run_connection import run_connection
from profile_store import runs
from profile_store.runs import RunFile
from tests.integration.prefect_api import PrefectApi
from tests.pipeline import Pipeline

pytestmark = pytest.mark.slow

GROUP_TYPES = [{"name": "household", "properties": [{"name": "household_id", "identifier": True}]}]


def domain(name: str) -> dict[str, Any]:
    return {"name": name, "partitions": 2, "properties": [{"name": "customer_id", "identifier": True}], "group_types": GROUP_TYPES}


def goal(kind: str, domain: str, goal_id: str) -> dict[str, Any]:
    linked, more = ("household_id", {"group_type": "household"}) if kind == "import_groups" else ("customer_id", {})
    return {
        "kind": kind,
        "id": goal_id,
        "name": goal_id,
        "domain": domain,
        "source": {"bucket": "crm", "directory": f"{goal_id}/"},
        "link": [{"column": "id", "property": linked}],
        "allow_creation": True,
        **more,
    }


@contextmanager
def applied(real: Pipeline, name: str, *goals: tuple[str, str]) -> Iterator[None]:
    """Connection `crm` with these goals (kind, id), a file `a.csv` of one row for each, and merge workers."""
    real.apply_goals(domain(name), [goal(kind, name, goal_id) for kind, goal_id in goals])
    for _, goal_id in goals:
        real.put("crm", f"{goal_id}/a.csv", b"id\n1\n")
    with real.workers(name), real.workers(f"{name}~household"):
        yield


def files(real: Pipeline) -> list[RunFile]:
    """Of the latest run."""
    return runs.list_runs(real.store, "crm")[0].files


@pytest.mark.spec("I13", "G5", "R1")
def test_goals_of_both_kinds_are_run_in_their_listed_order(flow_pipeline: Pipeline, domain_name: str) -> None:
    goals = (("import_groups", "homes"), ("import_profiles", "people"), ("import_groups", "flats"))
    with applied(flow_pipeline, domain_name, *goals):
        state = run_connection("crm", return_state=True)

    assert state.message == "3 files imported, 3 rows, 0 of them rejected."
    seen = [(file.goal, file.domain, file.import_seq, file.counts.rows) for file in files(flow_pipeline)]
    assert seen == [
        ("homes", f"{domain_name}~household", 1, 1),
        ("people", domain_name, 1, 1),
        ("flats", f"{domain_name}~household", 2, 1),
    ]


@pytest.mark.spec("G5")
def test_each_flow_takes_the_goals_of_its_kind(flow_pipeline: Pipeline, in_prefect: PrefectApi, domain_name: str) -> None:
    with applied(flow_pipeline, domain_name, ("import_profiles", "people"), ("import_groups", "homes")):
        groups = import_groups("crm", return_state=True)
        assert [file.goal for file in files(flow_pipeline)] == ["homes"]
        wrong = import_groups("crm", "people", return_state=True)
        import_profiles("crm")
        assert [file.goal for file in files(flow_pipeline)] == ["people"]

    assert groups.state_details.flow_run_id is not None
    summary = in_prefect.artifacts(str(groups.state_details.flow_run_id))["crm-summary"]["data"]
    assert f"into domain `{domain_name}~household`" in summary
    assert wrong.is_failed()
    assert wrong.message == (
        "NO_SUCH_GOAL: Connection crm has a goal people of kind import_profiles, which imports no groups; its goals that do: homes."
        " Choose one of them, or none for all."
    )
