"""A schedule on a real Prefect server with a real Prefect worker: runs start by themselves, and no more of them than needed (SPEC R2, C4)."""

from __future__ import annotations

from typing import Any

import pytest

from profile_store import runs
from profile_store.run_turns import Place, ask
from profile_store.runs import RunRecord
from streaming.importing.await_run_turn import holding_turn
from tests.integration.prefect_stack import PrefectStack
from tests.polling import eventually
from tests.shop import customers, shop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def planned(stack: PrefectStack, name: str) -> list[dict[str, Any]]:
    """The runs of the connection that its schedule has made and nobody has taken yet."""
    found: list[dict[str, Any]] = stack.api.post(
        "/flow_runs/filter",
        flow_runs={"state": {"type": {"any_": ["SCHEDULED"]}}},
        deployments={"name": {"any_": [name]}},
    )
    return [one for one in found if one["auto_scheduled"]]


@pytest.mark.spec("R2", "C4")
def test_ticks_start_runs_wait_their_turn_never_pile_up_and_stop_with_the_connection(prefect_stack: PrefectStack, domain_name: str) -> None:
    real, name = prefect_stack.pipeline, domain_name

    def apply(*, enabled: bool) -> None:
        schedule = [{"every_minutes": 1}]
        goal = customers(name, source={"bucket": "crm", "directory": f"{name}/"})
        prefect_stack.deploy(real.apply(shop(name), goal, connection=name, enabled=enabled, schedule=schedule))

    def recorded(*states: str) -> list[RunRecord] | None:
        return [one for one in runs.list_runs(real.store, name) if one.state in states] or None

    with holding_turn(real.store, name, "every/other", "long"):  # a run that takes long
        assert ask(real.store, name, "every/other", "long").place is Place.GOES
        apply(enabled=True)
        [tick] = eventually(lambda: recorded("WAITING"), within=150, what="a tick has started a run, which waits for the one that goes on")
        assert prefect_stack.api.run(tick.run_id)["auto_scheduled"]
        assert {one["expected_start_time"][17:19] for one in planned(prefect_stack, name)} <= {"00"}, "on the minute"

        prefect_stack.api.start(f"run-connection/{name}")
        spared = eventually(lambda: recorded("NOTHING_TO_DO"), within=90, what="a further run has ended at once")
        assert tick.run_id in spared[0].reason
        assert [one.run_id for one in recorded("WAITING") or []] == [tick.run_id]

        apply(enabled=False)
        eventually(lambda: planned(prefect_stack, name) == [], within=30, what="no tick is planned any more")

    ended = prefect_stack.api.finished(tick.run_id, within=60)
    assert ended["state"]["message"].startswith(f"Nothing done: connection {name} is off.")
    assert planned(prefect_stack, name) == []
