"""What a connection file says. SPEC C1, C3, C6, P1, R2. Goals, schedules and formats have files of their own."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from headrace.configuration_model import ConfigurationModel, Flag, Problem, refuse, repeated
from headrace.goals import Goal, ImportGroupsGoal, ImportProfilesGoal
from headrace.names import BlockName, EmailAddresses, Labels, Objectives, ObjectName
from headrace.schedules import Schedule


def _endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        sane = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        sane = None
    if not sane or not url.isprintable() or " " in url:
        raise ValueError("is not a URL; use https://host:port")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("must be host and port alone; keys and secrets go into a Prefect block (credentials) or HEADRACE_S3_*")
    return url


def _region(name: str) -> str:
    if not name or len(name) > 64 or not name.replace("-", "").isalnum():
        raise ValueError("is not a region; use for example eu-west-1")
    return name


class S3Location(ConfigurationModel):
    """Where S3 is. What is absent comes from HEADRACE_S3_* of the environment. No secret has a place here (SPEC C2)."""

    endpoint_url: Annotated[str, AfterValidator(_endpoint)] | None = Field(default=None, description="of an S3 other than Amazon's")
    region: Annotated[str, AfterValidator(_region)] | None = Field(default=None, description="like eu-west-1")
    credentials: BlockName | None = Field(default=None, description="name of a Prefect block, AwsCredentials or MinIOCredentials")


class Notifications(ConfigurationModel):
    """Who gets a mail after a run. SPEC C6."""

    emails: EmailAddresses = Field(default=(), description="that mails go to")
    on_error: Flag = Field(default=True, description="a run that fails or rejects something sends a mail")
    on_success: Flag = Field(default=False, description="a run that succeeds sends one too")

    @model_validator(mode="after")
    def _success_after_error(self) -> Self:
        if self.on_success and not self.emails:
            refuse([Problem(("on_success",), "there is nobody to tell; list addresses under emails")])
        if self.on_success and not self.on_error:
            refuse([Problem(("on_success",), "goes with on_error: true only; who hears of no errors would take silence for success")])
        return self


def _distinct_goals(goals: tuple[Goal, ...]) -> tuple[Goal, ...]:
    refuse(
        Problem((later, "id"), f"id '{double}' is that of goals[{first}] too; give this goal an id of its own")
        for later, first, double in repeated(one.id for one in goals)
    )
    return goals


class Connection(ConfigurationModel):
    """A connection to S3 with its goals."""

    version: Literal[1] = Field(description="of the file format: 1")
    kind: Literal["connection"] = Field(description="what the file defines: connection")
    name: ObjectName = Field(description="permanent; how commands and runs call it")
    enabled: Flag = Field(default=True, description="a connection that is off does nothing (SPEC C4)")
    description: Annotated[str, Field(max_length=4000)] = Field(default="", description="for people")
    labels: Labels = Field(default=(), description="for people, to find it by")
    favorite: Flag = Field(default=False, description="listed first")
    s3: S3Location = Field(default=S3Location(), description="where S3 is; absent: as HEADRACE_S3_* say")
    objectives: Objectives = Field(
        default=(),
        description="only profiles whose `consents` name one of these are processed; none: everyone. Groups have no consents: group goals take every"
        " row (SPEC P1)",
    )
    notifications: Notifications = Field(default=Notifications(), description="who gets a mail after a run (SPEC C6)")
    schedule: tuple[Schedule, ...] = Field(default=(), description="when it runs by itself; none: only when started (SPEC R2)")
    goals: Annotated[tuple[Goal, ...], AfterValidator(_distinct_goals)] = Field(
        default=(), description="what it does, in this order (SPEC C3, I13)"
    )

    def goal(self, goal_id: str) -> Goal | None:
        """The goal of that id, None if there is none."""
        return next((one for one in self.goals if one.id == goal_id), None)

    @property
    def import_goals(self) -> tuple[ImportProfilesGoal | ImportGroupsGoal, ...]:
        """In their order, active or not."""
        return tuple(one for one in self.goals if isinstance(one, ImportProfilesGoal | ImportGroupsGoal))
