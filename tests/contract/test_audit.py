"""The audit trail: what was done to an installation, by whom and when, and nothing of a person in a profile (SPEC B6)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.cli.erase import erase_profile
from headrace.cli.recover import recover_domains
from headrace.cli.terminal import Form, Terminal
from headrace.settings import RedisSettings
from profile_store import audit, runs
from profile_store.store import Store
from tests.pipeline import Pipeline, access_to, pipeline
from tests.servers.valkey import RedisTarget
from tests.shop import as_csv, customers, purchases, shop

pytestmark = pytest.mark.spec("B6")


@pytest.fixture
def real(own_valkey: Callable[[], ValkeyServer], apache_kafka: str, empty_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    made = pipeline(own_valkey().url, apache_kafka, access_to(empty_s3))
    made.set_environment(monkeypatch.setenv)
    made.make_bucket("crm")
    return made


def test_erasures_recoveries_and_runs_are_told_in_their_order(real: Pipeline, domain_name: str) -> None:
    connection = real.apply(shop(domain_name), customers(domain_name))
    real.put("crm", "in/a.csv", as_csv(purchases(50)))
    terminal = Terminal.of(Form.JSON)
    begun = datetime.now(UTC)
    with real.workers(domain_name):
        [result] = real.run(connection)
        runs.write_run(
            real.store,
            runs.RunRecord(
                "run-1",
                "crm",
                "",
                "COMPLETE",
                runs.now(),
                runs.now(),
                "",
                [runs.RunFile("crm", "in/a.csv", 1, "COMPLETE", result.outcomes.rows, result.outcomes.as_dict())],
            ),
        )
        assert erase_profile(terminal, domain_name, "", "customer_id=C7", suppress=True)
        assert recover_domains(terminal, [domain_name])

    recovery, erasure, run = audit.read(real.store)
    assert (recovery.what, recovery.about) == ("recover", f"domain {domain_name}")
    assert (erasure.what, erasure.about, erasure.detail) == ("erase", f"domain {domain_name}", {"import_seq": 2, "suppress": True})
    assert erasure.who == recovery.who == audit.this_user()
    assert (run.who, run.what, run.about) == ("run:run-1", "run", "connection crm")
    assert (run.detail["state"], run.detail["rows"]) == ("COMPLETE", 50)
    assert begun <= datetime.fromisoformat(run.at) <= datetime.fromisoformat(erasure.at) <= datetime.fromisoformat(recovery.at)
    assert "C7" not in repr(erasure)

    assert audit.read(real.store, most=1) == [recovery]
    assert audit.read(real.store, datetime.fromisoformat(erasure.at)) == [recovery, erasure]
    assert audit.read(real.store, datetime.now(UTC) + timedelta(hours=1)) == []


def test_on_one_node_and_on_a_cluster(redis_target: RedisTarget) -> None:
    store = Store(RedisSettings(url=SecretStr(redis_target.url), cluster=redis_target.cluster))
    about = uuid.uuid4().hex
    audit.note(store, "apply", about, who="somebody", changes=["connection crm: created"])
    [entry] = [one for one in audit.read(store) if one.about == about]
    assert (entry.who, entry.detail) == ("somebody", {"changes": ["connection crm: created"]})
