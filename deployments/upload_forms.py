"""The deployments of the flows that run upload jobs: one that the API starts for each job, one that looks after those that lost their run, and one that
removes what their profiles' time is over for."""

from __future__ import annotations

from functools import partial
from typing import Any

from prefect import Flow
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule

from deployments.forms import TAG, DeployedFlow, DeploymentForm, parameter_schema
from deployments.schedules import OURS
from flows.expire_profiles import expire_profiles
from flows.run_upload_job import look_after_upload_jobs, run_upload_job

ANY_JOB, ALL_DOMAINS = "any-job", "all-domains"
EVERY_FIVE_MINUTES, EVERY_HOUR = "*/5 * * * *", "0 * * * *"


def _of_any_job() -> DeploymentForm:
    return DeploymentForm(
        name=ANY_JOB,
        description="Imports what was uploaded for a job. The API starts it; started again for the same job, it does nothing twice.",
        tags=(TAG,),
        parameters={},
        schema=parameter_schema(run_upload_job),
    )


def _of_all_domains(flow: Flow[..., Any], description: str, parameters: dict[str, Any], cron: str) -> DeploymentForm:
    return DeploymentForm(
        name=ALL_DOMAINS,
        description=description,
        tags=(TAG,),
        parameters=parameters,
        schema=parameter_schema(flow),
        schedules=[DeploymentScheduleCreate(schedule=CronSchedule(cron=cron, timezone="UTC"), active=True, slug=f"{OURS}uploads")],
    )


_LOOKING = "Takes up upload jobs whose run died, so that each comes to an end."
_EXPIRING = "Removes profiles whose upload jobs said how long to keep them, and whose time is over."

OF_UPLOADS = (
    DeployedFlow(run_upload_job, standing=_of_any_job),
    DeployedFlow(look_after_upload_jobs, standing=partial(_of_all_domains, look_after_upload_jobs, _LOOKING, {}, EVERY_FIVE_MINUTES)),
    DeployedFlow(expire_profiles, standing=partial(_of_all_domains, expire_profiles, _EXPIRING, {"domain": ""}, EVERY_HOUR)),
)
