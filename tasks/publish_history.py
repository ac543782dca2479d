"""The latest runs of a connection as an artifact: what each brought, as bars (SPEC R1), and unique profiles in all (SPEC R3)."""

from __future__ import annotations

from datetime import datetime

from prefect.artifacts import create_markdown_artifact

from headrace.outcomes import Outcomes
from headrace.run_plot import bars, sparkline
from profile_store import runs
from profile_store.exchange import Exchange, read_exchange
from profile_store.runs import RunRecord
from tasks.markdown import as_code, as_table
from tasks.opened import opened
from tasks.progress_bar import artifact_key
from tasks.step import step

SHOWN = 20
HEADER = ("Started (UTC)", "State", "Seconds", "Rows", "Rejected", "Exported", "Rows, rejected ones grey")


@step
def publish_history(connection: str) -> None:
    with opened() as context:
        latest = runs.list_runs(context.store, connection, SHOWN)
        exchanged = read_exchange(context.store, [connection])
    create_markdown_artifact(
        history_markdown(connection, latest, exchanged), key=artifact_key(connection, "history"), description="Latest runs"
    )


def history_markdown(connection: str, latest: list[RunRecord], exchanged: list[Exchange]) -> str:
    """`latest`: newest first."""
    outcomes = [sum((file.counts for file in run.files), start=Outcomes()) for run in latest]
    seconds = [_seconds(run) for run in latest]
    drawn = bars([(one.rows, one.rejected) for one in outcomes])
    rows = [
        (
            run.started[:19].replace("T", " "),
            as_code(run.state),
            f"{took:.1f}",
            f"{one.rows:,}",
            f"{one.rejected:,}",
            f"{sum(file.exported for file in run.files):,}",
            as_code(bar) if bar else "",
        )
        for run, one, took, bar in zip(latest, outcomes, seconds, drawn, strict=True)
    ]
    unique = [f"Unique profiles imported into {as_code(one.domain)}: **{one.imported:,}**" for one in exchanged if one.imported]
    unique += [f"Unique profiles exported from {as_code(one.domain)}: **{one.exported:,}**" for one in exchanged if one.exported]
    parts = [f"## Runs of {as_code(connection)}", *unique, as_table(HEADER, rows)]
    if len(latest) > 1:
        parts.append(f"Seconds, from the oldest to the newest: {as_code(sparkline(seconds[::-1]))}")
    return "\n\n".join(parts) + "\n"


def _seconds(run: RunRecord) -> float:
    return (datetime.fromisoformat(run.ended) - datetime.fromisoformat(run.started)).total_seconds() if run.ended else 0.0
