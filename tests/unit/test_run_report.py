"""The texts of a run's artifacts: what they say, and that a file's name can't break them."""

from __future__ import annotations

import pytest

from headrace.outcomes import Outcomes
from tasks.run_report import FailedFile, GoalReport, ImportedFile, LeftFile, RunReport, headline, left_table, summary_markdown

FIRST = ImportedFile("s3://crm/a.csv", Outcomes(created=900, updated=50, unchanged=20, skipped=10, rejected=20), 2.0)


def _report(*goals: GoalReport) -> RunReport:
    return RunReport("crm", goals)


def test_headline_counts_what_was_imported() -> None:
    second = ImportedFile("s3://crm/b.csv", Outcomes(created=1), 1.0)
    report = _report(
        GoalReport("customers", "retail", "s3://crm/", imported=(FIRST,)), GoalReport("orders", "retail", "s3://crm/", imported=(second,))
    )

    assert report.succeeded
    assert headline(report) == "2 files imported, 1,001 rows, 20 of them rejected."


def test_headline_of_nothing_to_do() -> None:
    left = LeftFile("s3://crm/a.csv", "imported on 2026-01-02")

    assert (
        headline(_report(GoalReport("customers", "retail", "s3://crm/", left=(left,))))
        == "Nothing to do: 1 file found, none new or changed."
    )
    assert headline(_report(GoalReport("customers", "retail", "s3://crm/"))) == "Nothing to do: no file matches."
    assert left_table(_report(GoalReport("customers", "retail", "s3://crm/", left=(left,)))) == [
        {"file": "s3://crm/a.csv", "the ledger says": "imported on 2026-01-02"}
    ]


def test_a_failed_file_fails_the_run_and_is_named_first() -> None:
    goal = GoalReport(
        "customers", "retail", "s3://crm/", imported=(FIRST,), failed=(FailedFile("s3://crm/b.csv", "SOURCE_CHANGED: replaced"),)
    )

    assert not _report(goal).succeeded
    assert headline(_report(goal)) == "1 of 2 files imported. s3://crm/b.csv: SOURCE_CHANGED: replaced"


def test_a_stopped_goal_fails_the_run() -> None:
    goal = GoalReport("customers", "retail", "s3://crm/", stopped="NO_SUCH_BUCKET: there is no bucket crm")

    assert not _report(goal).succeeded
    assert "goal customers: NO_SUCH_BUCKET" in headline(_report(goal))


@pytest.mark.spec("R1", "R4")
def test_summary_shows_every_outcome_and_their_sum() -> None:
    second = ImportedFile("s3://crm/b.csv", Outcomes(created=1_000, rejected=5), 2.0)
    text = summary_markdown(_report(GoalReport("customers", "retail", "s3://crm/", imported=(FIRST, second))))

    assert "| `a.csv` | 1,000 | 900 | 50 | 20 | 10 | 20 | 500 |" in text
    assert "| all | 2,005 | 1,900 | 50 | 20 | 10 | 25 | 501 |" in text


@pytest.mark.spec("B2")
def test_summary_says_why_rows_were_rejected_and_where_they_are() -> None:
    file = ImportedFile(
        "s3://crm/a.csv",
        Outcomes(created=7, rejected=3),
        1.0,
        {"WRONG_COLUMN_COUNT": 1, "NO_IDENTIFIER": 2},
        "s3://crm/_headrace/rejects/a.csv",
    )
    text = summary_markdown(_report(GoalReport("customers", "retail", "s3://crm/", imported=(file,))))

    assert text.index("`NO_IDENTIFIER`") < text.index("`WRONG_COLUMN_COUNT`"), "the most frequent first"
    assert "The link column is blank" in text
    assert "`s3://crm/_headrace/rejects/a.csv`" in text


def test_a_file_name_breaks_neither_table_nor_code() -> None:
    file = ImportedFile("s3://crm/a|b`<script>\n.csv", Outcomes(created=1), 1.0)
    lines = summary_markdown(_report(GoalReport("customers", "retail", "s3://crm/", imported=(file,)))).splitlines()

    assert "| `a¦b'<script>?.csv` | 1 | 1 | 0 | 0 | 0 | 0 | 1 |" in lines
