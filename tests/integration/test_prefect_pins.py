"""A run that dies between the copy of a file and its import: the connection's next run deletes the copy, whatever became of the file (SPEC I12)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.import_profiles import import_profiles
from headrace.cli.run_here import run_here
from headrace.connections import Connection
from headrace.failpoints import VARIABLE
from object_store.access import connect
from profile_store import keys
from streaming.importing.pinned_copy import settle_pins
from tests.pipeline import Pipeline
from tests.shop import customers, shop

pytestmark = pytest.mark.slow

OLD, NEW = b"id,amount,day,tags\nC1,1,2026-01-01,\n", b"id,amount,day,tags\nC1,20,2026-01-01,\n"


def here(real: Pipeline, connection: Connection) -> str:
    return run_here(real.context, connection, connection.goals, "", lambda *_: None).state


def in_prefect(_real: Pipeline, connection: Connection) -> str:
    state: Any = import_profiles(connection.name, return_state=True)
    return str(state.type.value).removesuffix("D")


def killed(real: Pipeline, point: str, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of the connection, in a process that ends there as `kill -9` would end it."""
    with monkeypatch.context() as patched:
        patched.setenv(VARIABLE, point)
        with real.process("-m", "tests.run_import", "crm", log=log) as process:
            assert process.wait(120) == -9, log.read_text()


def copies(real: Pipeline) -> list[str]:
    found = connect(real.access, 1).list_objects_v2(Bucket="crm").get("Contents", [])
    return [one["Key"] for one in found if "/pinned/" in one["Key"]]


@pytest.mark.spec("I12")
@pytest.mark.parametrize("run", [here, in_prefect])
def test_the_copy_of_a_run_that_died_before_its_import_had_a_number_is_deleted(
    flow_pipeline: Pipeline, domain_name: str, run: Callable[[Pipeline, Connection], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = flow_pipeline
    connection = real.apply(shop(domain_name), customers(domain_name))
    real.put("crm", "in/a.csv", OLD)
    killed(real, "pin:after", tmp_path / "run.log", monkeypatch)
    assert len(copies(real)) == 1
    real.put("crm", "in/a.csv", NEW)

    with real.workers(domain_name):
        assert run(real, connection) == "COMPLETE"

    assert [one["total"] for one in real.profiles(domain_name).values()] == ["20"], "the old one never got a number"
    assert copies(real) == []
    assert not real.store.client.exists(keys.pins(domain_name, "crm"))


@pytest.mark.spec("I12")
def test_the_copy_of_an_open_import_stays_until_that_is_over(
    flow_pipeline: Pipeline, domain_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = flow_pipeline
    connection = real.apply(shop(domain_name), customers(domain_name))
    real.put("crm", "in/a.csv", OLD)
    killed(real, "register:after", tmp_path / "run.log", monkeypatch)
    real.put("crm", "in/a.csv", NEW)

    settle_pins(real.context, domain_name, "crm")

    assert len(copies(real)) == 1
    with real.workers(domain_name):
        assert here(real, connection) == "COMPLETE"
    assert [one["total"] for one in real.profiles(domain_name).values()] == ["21"], "both files, the old one from its copy"
    assert copies(real) == []
    assert not real.store.client.exists(keys.pins(domain_name, "crm"))
