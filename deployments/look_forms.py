"""The deployments of the flows that only look: buckets, files, preview, detected fields, dry run. Each for one connection, none standing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import Flow

from deployments.forms import DeployedFlow, DeploymentForm, offer, schema_of_connection, tags_of
from flows.detect_fields import detect_fields
from flows.dry_run import dry_run
from flows.list_buckets import list_buckets
from flows.preview_file import preview_file
from flows.scan_files import ALL_GOALS, scan_files
from headrace.connections import Connection
from headrace.goal_choice import EVERYTHING, IMPORTS, Kinds, goals_of

Form = Callable[[Connection], DeploymentForm | None]


def _of_connection(connection: Connection) -> DeploymentForm:
    return _form(list_buckets, connection, {}, "Lists the buckets that its key can see.")


def _with_every_goal(connection: Connection) -> DeploymentForm | None:
    goals = [goal.id for goal in goals_of(connection)]
    if not goals:
        return None
    return _form(scan_files, connection, {"goal": [ALL_GOALS, *goals]}, "Lists the files that match, and what a run would do with each.")


def _with_one_goal(flow: Flow[..., Any], description: str, kinds: Kinds = IMPORTS) -> Form:
    """None where the connection has no goal of these kinds."""

    def form(connection: Connection) -> DeploymentForm | None:
        goals = [goal.id for goal in goals_of(connection, kinds=kinds)]
        return _form(flow, connection, {"goal": goals}, description) if goals else None

    return form


def _form(flow: Flow[..., Any], connection: Connection, choices: dict[str, list[str]], description: str) -> DeploymentForm:
    schema = schema_of_connection(flow, connection)
    for field, offered in choices.items():
        offer(
            schema,
            field,
            offered,
            "One of its goals." if ALL_GOALS not in offered else "One of its goals, or all.",
        )
    filled = {"connection": connection.name, **{field: offered[0] for field, offered in choices.items()}}
    return DeploymentForm(connection.name, f"{description} Nothing is changed.", tags_of(connection), filled, schema)


PREVIEW = "Shows what a goal would make of the first rows of a file; of one that exports, the dates of a file that is there."

LOOKING: tuple[DeployedFlow, ...] = (
    DeployedFlow(list_buckets, of_connection=_of_connection),
    DeployedFlow(scan_files, of_connection=_with_every_goal),
    DeployedFlow(preview_file, of_connection=_with_one_goal(preview_file, PREVIEW, EVERYTHING)),
    DeployedFlow(detect_fields, of_connection=_with_one_goal(detect_fields, "Proposes mappings for the columns that are not mapped yet.")),
    DeployedFlow(dry_run, of_connection=_with_one_goal(dry_run, "Plays the import of a file over the real profiles, with every count.")),
)
