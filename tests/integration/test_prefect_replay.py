"""The flow `replay_rejects`, and its deployment: what a browser is shown of a replay."""

from __future__ import annotations

import pytest

from deployments.bootstrap import bootstrap, deploy_connection
from flows.replay_rejects import replay_rejects
from profile_store import runs
from tests.corrected import corrected, history
from tests.integration.prefect_api import PrefectApi
from tests.pipeline import Pipeline
from tests.shop import as_csv, customers, purchases, shop

pytestmark = [pytest.mark.slow, pytest.mark.spec("B2")]


@pytest.fixture
def real(flow_pipeline: Pipeline) -> Pipeline:
    return flow_pipeline


@pytest.mark.spec("R1")
def test_a_corrected_file_in_s3_is_replayed_and_its_lines_are_told(real: Pipeline, in_prefect: PrefectApi, domain_name: str) -> None:
    connection = real.apply(shop(domain_name), customers(domain_name))
    real.put("crm", "in/a.csv", as_csv(purchases(100)))
    with real.workers(domain_name):
        [result] = real.run(connection)
        with real.objects.open(real.objects.head("crm", str(result.rejects_key))) as stream:
            written = stream.readall()
        real.put(
            "crm", "fixed/a.csv", corrected(written, lambda line: {**line, "amount": "5" if line["_headrace_line"] == "51" else "five"})
        )
        first = replay_rejects("crm", "fixed/a.csv", return_state=True)
        second = replay_rejects("crm", "s3://crm/fixed/a.csv", return_state=True)
        wrong = replay_rejects("crm", "in/a.csv", return_state=True)
    assert (first.name, first.message) == ("Completed", "2 lines of rejects of import 1: 1 replayed, 1 rejected again.")
    assert (second.name, second.message) == (
        "Completed",
        "2 lines of rejects of import 1: 0 replayed, 1 rejected again, 1 replayed before.",
    )
    assert wrong.name == "Failed"
    assert "NOT_A_REJECTS_FILE" in str(wrong.message)
    summary = in_prefect.artifacts(str(first.state_details.flow_run_id))["crm-replay"]["data"]
    assert "five" not in summary
    assert "_headrace/rejects/customers/2-a.csv" in summary
    assert (history(real.context, connection).counts.replayed, history(real.context, connection).left) == (1, 1)
    assert [(one.state, one.goal) for one in reversed(runs.list_runs(real.store, "crm"))] == [
        ("COMPLETE", "customers"),
        ("COMPLETE", "customers"),
        ("FAILED", ""),
    ]


def test_a_connection_has_a_deployment_that_asks_for_the_file_alone(real: Pipeline, in_prefect: PrefectApi, domain_name: str) -> None:
    bootstrap()
    deploy_connection(real.apply(shop(domain_name), customers(domain_name)))
    deployment = in_prefect.deployment("replay-rejects/crm")
    assert deployment["entrypoint"] == "flows.replay_rejects.replay_rejects"
    assert deployment["parameters"] == {"connection": "crm"}
    assert deployment["parameter_openapi_schema"]["required"] == ["file"]
