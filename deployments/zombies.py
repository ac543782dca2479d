"""Zombies: flow runs whose process, or whole machine, died without a word. An automation of the Prefect server marks them Crashed.

A flow run of a deployment sends a heartbeat event at its start and then every `PREFECT_FLOWS_HEARTBEAT_FREQUENCY` seconds (30 at least).
Where only the flow's process dies, the Prefect worker that started it notices at once; this is for the case that it died too.
"""

from __future__ import annotations

from datetime import timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

AUTOMATION_NAME = "Headrace: runs that fell silent have crashed"
HEARTBEAT_SECONDS = 30
MISSED_HEARTBEATS = 3
SILENCE = timedelta(seconds=HEARTBEAT_SECONDS * MISSED_HEARTBEATS)
"""Three missed heartbeats: a busy machine may be late with one, and a run marked Crashed by mistake would alarm for nothing.
(It would do no harm to the data: an import that two runs work on is still applied once.)"""

SHORTEST_SILENCE = timedelta(seconds=10)
"""Prefect's own minimum for automations that wait for something not to happen."""


def zombie_automation(tag: str, silence: timedelta) -> AutomationCore:
    """After a heartbeat of a run with this tag, expect any further event of the run (heartbeat or state change) within `silence`."""
    return AutomationCore(
        name=AUTOMATION_NAME,
        description=f"A run that sends neither a heartbeat nor a new state for {silence.total_seconds():g} seconds has died. "
        "Made by Headrace's bootstrap, which puts it back when it is changed.",
        enabled=True,  # written out: an update sends only what is
        tags=[tag],
        trigger=EventTrigger(
            # Any event of the run will do, so that states which Prefect adds or a flow names never look like silence.
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.*"},
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=ResourceSpecification({"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=silence,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                name=None,
                message="The flow's process fell silent: it, or its machine, died. The next run of the connection takes its import up.",
                force=False,
            )
        ],
    )


def ensure_zombie_automation(client: SyncPrefectClient, tag: str, silence: timedelta) -> Automation:
    """One automation of this name, as written here. Safe at the same time from several places.

    Prefect lets several automations have one name, so two callers may create two: each then keeps the oldest and deletes the others,
    and since all order them alike, all keep the same.
    """
    wanted = zombie_automation(tag, silence)
    found = _by_age(client)
    if not found:
        client.create_automation(wanted)
        found = _by_age(client)
    kept, *doubles = found
    for double in doubles:
        client.delete_automation(double.id)
    if AutomationCore.model_validate(kept.model_dump(include=set(AutomationCore.model_fields))) != wanted:
        client.update_automation(kept.id, wanted)
    return kept


def _by_age(client: SyncPrefectClient) -> list[Automation]:
    """Oldest first. Only what came of the server has `created`; the id decides between equals."""
    response = client.request("POST", "/automations/filter", json={"automations": {"name": {"any_": [AUTOMATION_NAME]}}, "limit": 200})
    response.raise_for_status()
    return Automation.model_validate_list(sorted(response.json(), key=lambda automation: (automation["created"], automation["id"])))
