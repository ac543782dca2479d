"""The mail about the run that this flow is: after its end is on record, and outside Prefect's tasks, which a run that is being cancelled can't start."""

from __future__ import annotations

from collections import Counter

from prefect.logging import get_run_logger
from prefect.utilities.urls import url_for

from headrace.errors import HeadraceError
from profile_store import runs
from tasks.notify import notify
from tasks.opened import opened
from tasks.record_run import RunIdentity
from tasks.run_report import RunReport


def mail_report(run: RunIdentity, report: RunReport) -> None:
    reasons = sum((Counter(file.reasons) for file in report.imported), Counter[str]())
    try:
        with opened() as context:
            record = runs.read_run(context.store, run.run_id)
            said = notify(context.store, record, reasons, url_for("flow-run", obj_id=run.run_id) or "") if record else ""
    except HeadraceError as error:
        said = f"no mail: {error}"
    if said:
        get_run_logger().info("About this run: %s.", said.rstrip("."))
