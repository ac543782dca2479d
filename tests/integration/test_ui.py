"""A person imports a file from the Prefect UI: the form, the progress, the summary, the rejects (in headless Chromium).

Screenshots go to a temporary folder; `HEADRACE_TEST_PICTURES=docs/images` puts them where the documentation shows them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.merge import Profile, import_rows
from profile_store import registry
from tests.integration.prefect_stack import PrefectStack
from tests.integration.prefect_ui import HEIGHT, WIDTH, PrefectUi, browsing, chromium
from tests.pipeline import Pipeline
from tests.servers.report import ServerReport
from tests.shop import as_csv, customers, plan_in, purchases, shop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PICTURES = "HEADRACE_TEST_PICTURES"
CELL = "about 20 euros"
ROWS = 60_000


@pytest.fixture
def ui(prefect_stack: PrefectStack, tmp_path: Path, server_report: ServerReport) -> Iterator[PrefectUi]:
    browser = chromium()
    if browser is None:
        why = "no Chromium is installed (Debian: apt-get install chromium), and HEADRACE_TEST_CHROMIUM names none"
        server_report.note_missing("the Prefect UI's test", why)
        pytest.skip(why)
    pictures = Path(os.environ[PICTURES]).resolve() if PICTURES in os.environ else tmp_path
    pictures.mkdir(parents=True, exist_ok=True)
    with browsing(browser, prefect_stack.ui_url, pictures) as page:
        yield page


def purchases_of(month: int) -> list[dict[str, str]]:
    return [
        {**row, "amount": "1.25", "day": f"2026-{month:02d}-{1 + number % 28:02d}"} for number, row in enumerate(purchases(ROWS, 9_973))
    ]


def some_broken(table: list[dict[str, str]]) -> list[dict[str, str]]:
    """With three broken rows: lines 402, 1003 and 1204 of the file."""
    broken = [
        {"id": "", "amount": "1", "day": "2026-12-02", "tags": "a"},
        {"id": "C1", "amount": CELL, "day": "2026-12-02", "tags": "a"},
        {"id": "C2", "amount": "2.50", "day": "31/02/2026", "tags": "a"},
    ]
    return [*table[:400], broken[0], *table[400:1_000], broken[1], *table[1_000:1_200], broken[2], *table[1_200:]]


def crm(real: Pipeline, domain: str) -> Any:
    goal = {**customers(domain, source={"bucket": "crm", "directory": "exports/", "files": "customers-*.csv"}), "id": "customers"}
    return real.apply(shop(domain), goal, connection="crm", description="Nightly CRM dump", labels=["crm"])


@pytest.mark.spec("R1", "R4", "B2", "C2")
def test_a_person_imports_files_from_the_form(prefect_stack: PrefectStack, ui: PrefectUi) -> None:
    real, api = prefect_stack.pipeline, prefect_stack.api
    connection = crm(real, "retail")
    prefect_stack.deploy(connection)
    deployment = api.deployment("import-profiles/crm")["id"]
    oracle: dict[bytes, Profile] = {}
    plan = plan_in(real, connection)

    first = purchases_of(11)
    real.put("crm", "exports/customers-2026-11.csv", as_csv(first))
    ui.open_form(deployment)
    ui.shows("The connection that this deployment is for.")
    ui.shows("One of its goals that import profiles, or every active one in their listed order.")
    ui.choose("goal", "customers")
    pictures = [ui.picture("form")]
    run_id = ui.submit()
    # No merge worker runs yet: all is published, nothing is done.
    ui.artifacts_show(run_id, re.compile(rf"█+░+ \d+ % 0 of {ROWS:,} rows · customers-2026-11\.csv"), within=120)
    pictures.append(ui.picture("progress"))

    with prefect_stack.merging():
        assert api.finished(run_id, within=120)["state_type"] == "COMPLETED"
        import_rows(oracle, first, plan)
        ui.artifacts_show(run_id, re.compile("██████████ 100 % 1 file imported"), within=60)

        second = some_broken(purchases_of(12))
        real.put("crm", "exports/customers-2026-12.csv", as_csv(second))
        run_id = ui.quick_run(deployment)
        assert api.finished(run_id, within=120)["state_type"] == "COMPLETED"
    outcomes = import_rows(oracle, second, plan).outcomes
    assert real.profiles("retail") == oracle

    artifacts = api.artifacts(run_id)
    ui.open_artifact(artifacts["crm-summary"]["id"])
    ui.shows("1 file imported, 60,003 rows, 1 of them rejected.")
    ui.shows("The link column is blank")  # the table, which is drawn after the title
    shown = ui.text()
    counts = (outcomes.rows, outcomes.created, outcomes.updated, outcomes.unchanged, outcomes.skipped, outcomes.rejected)
    expected = r"\s+".join(f"{count:,}" for count in counts)
    assert re.search(rf"customers-2026-12\.csv\s+{expected}\s", shown), f"{expected} in:\n{shown}"
    assert re.search(r"s3://crm/exports/_headrace/rejects/customers/\d+-customers-2026-12\.csv", shown)
    assert "customers-2026-11.csv" in shown, "left alone, and why"
    pictures.append(ui.picture("summary"))

    ui.open_artifact(artifacts["crm-rejects"]["id"])
    ui.shows("NO_IDENTIFIER")
    shown = ui.text()
    for line, column, code in ((402, "", "NO_IDENTIFIER"), (1003, "amount", "NOT_A_NUMBER"), (1204, "day", "NOT_A_DATE")):
        assert re.search(rf"\b{line}\s+{column}\s*{code}\b", shown), f"{line} {column} {code} in:\n{shown}"
    assert CELL not in shown
    pictures.append(ui.picture("rejects"))

    assert [size_of(picture) for picture in pictures] == [(WIDTH, HEIGHT)] * 4


@pytest.mark.spec("B3", "C2", "I5", "R2")
def test_a_person_looks_before_the_run_and_sees_when_the_next_one_is(prefect_stack: PrefectStack, ui: PrefectUi) -> None:
    real, api = prefect_stack.pipeline, prefect_stack.api
    goal = {**customers("gallery", source={"bucket": "crm", "directory": "gallery/", "files": "*.csv"}), "id": "customers"}
    schedule = [{"days_of_week": ["monday", "friday"], "at": "06:30", "time_zone": "Europe/Amsterdam"}]
    prefect_stack.deploy(real.apply(shop("gallery"), goal, connection="gallery", description="Gallery's CRM", schedule=schedule))
    table = some_broken(purchases_of(11)[:2_000])
    real.put("crm", "gallery/customers-2026-11.csv", as_csv(table))
    outcomes = import_rows({}, table, plan_in(real, registry.get_connection(real.store, "gallery"))).outcomes

    ui.open("/deployments")
    ui.search("gallery")
    for flow in ("dry-run", "preview-file", "run-connection"):
        ui.shows(flow)
    ui.picture("deployments")

    ui.open_form(api.deployment("dry-run/gallery")["id"])
    ui.shows("Key of a file. Left empty: the newest one that matches.")
    dry_run = ui.submit()
    assert api.finished(dry_run, within=120)["state_type"] == "COMPLETED"
    ui.open_artifact(api.artifacts(dry_run)["gallery-dry-run"]["id"])
    ui.shows("NO_IDENTIFIER")
    shown = ui.text()
    for count in (outcomes.created, outcomes.updated, outcomes.rejected):
        assert re.search(rf"\b{count:,}\b", shown), f"{count:,} in:\n{shown}"
    assert CELL not in shown
    ui.picture("dry-run")
    assert real.profiles("gallery") == {}

    preview = ui.quick_run(api.deployment("preview-file/gallery")["id"])
    assert api.finished(preview, within=120)["state_type"] == "COMPLETED"
    [artifact] = [one for key, one in api.artifacts(preview).items() if "preview" in key]
    ui.open_artifact(artifact["id"])
    for column in ("amount", "day", "tags"):
        ui.shows(column)
    assert CELL not in ui.text()
    ui.picture("preview")

    ui.open_deployment(api.deployment("run-connection/gallery")["id"])
    ui.shows(re.compile("At 06:30 AM"))
    ui.picture("schedule")


def size_of(png: Path) -> tuple[int, int]:
    """Width and height in pixels: of the header, which every PNG begins with."""
    header = png.read_bytes()[16:24]
    return int.from_bytes(header[:4], "big"), int.from_bytes(header[4:], "big")
