"""The workflow of the hosted machine, which can't run here: that it is well formed, and calls what is there."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest
from check_jsonschema.builtin_schemas import get_builtin_schema
from ruamel.yaml import YAML

from tests.fundamentals.command_line import problem
from tests.fundamentals.sources import PROJECT


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    # YAML 1.2: `on` is a word there, not true.
    loaded: dict[str, Any] = YAML(typ="safe").load(PROJECT / ".github" / "workflows" / "ci.yml")
    return loaded


@pytest.fixture(scope="module")
def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_it_is_a_workflow(workflow: dict[str, Any]) -> None:
    jsonschema.validate(workflow, get_builtin_schema("vendor.github-workflows"))


def test_it_calls_what_is_there(steps: list[dict[str, Any]]) -> None:
    lines = [line.strip() for step in steps for line in step.get("run", "").splitlines()]
    assert "make test" in lines
    problems = {line: found for line in lines if (found := problem(line.partition(" |")[0]))}
    assert not problems


def test_actions_are_pinned(steps: list[dict[str, Any]]) -> None:
    for step in steps:
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+(\.\d+)*", step["uses"])


def test_jobs_end(workflow: dict[str, Any]) -> None:
    assert all(job["timeout-minutes"] <= 45 for job in workflow["jobs"].values())
    assert workflow["permissions"] == {"contents": "read"}


def test_nothing_real_may_be_skipped(steps: list[dict[str, Any]]) -> None:
    """Where the suite decides about a release, a missing Kafka fails."""
    from tests.servers.brokers import MUST_RUN

    [suite] = [step for step in steps if step.get("run") == "make test"]
    assert suite["env"] == {MUST_RUN: "1"}
    assert f"export {MUST_RUN}=1" in (PROJECT / ".ci" / "run").read_text()
