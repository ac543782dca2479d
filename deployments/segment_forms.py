"""The deployments of the flows that build and prove segments: one of each, for all domains, with a schedule."""

from __future__ import annotations

from functools import partial
from typing import Any

from prefect import Flow
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule

from deployments.forms import TAG, DeployedFlow, DeploymentForm, parameter_schema
from deployments.schedules import OURS
from flows.materialize_segments import materialize_segments, prove_segments

ALL_DOMAINS = "all-domains"
QUEUE = "all domains"
"""Of both flows. No connection is called so."""
EVERY_FIVE_MINUTES, DAILY = "*/5 * * * *", "30 3 * * *"


def _form(flow: Flow[..., Any], description: str, cron: str) -> DeploymentForm:
    return DeploymentForm(
        name=ALL_DOMAINS,
        description=description,
        tags=(TAG,),
        parameters={"domain": ""},
        schema=parameter_schema(flow),
        schedules=[DeploymentScheduleCreate(schedule=CronSchedule(cron=cron, timezone="UTC"), active=True, slug=f"{OURS}segments")],
        work_queue=QUEUE,
    )


OF_SEGMENTS = (
    DeployedFlow(
        materialize_segments,
        standing=partial(_form, materialize_segments, "Builds new and changed segments, each swapped in whole.", EVERY_FIVE_MINUTES),
    ),
    DeployedFlow(
        prove_segments,
        standing=partial(_form, prove_segments, "Proves membership against a full evaluation; drift must be none.", DAILY),
    ),
)
