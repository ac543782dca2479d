"""The texts of a run's artifacts: what they say, and that a file's name can't break them."""

from __future__ import annotations

import pytest

from headrace.outcomes import Outcomes
from tasks.run_report import FailedFile, FileName, GoalReport, ImportedFile, LeftFile, RunReport, headline, left_table, summary_markdown

A, B = FileName("crm", "a.csv"), FileName("crm", "b.csv")
FIRST = ImportedFile(A, 1, Outcomes(created=900, updated=50, unchanged=20, skipped=10, rejected=20), 2.0)


def goal(
    *, imported: tuple[ImportedFile, ...] = (), failed: tuple[FailedFile, ...] = (), left: tuple[LeftFile, ...] = (), stopped: str = ""
) -> GoalReport:
    return GoalReport("customers", "retail", "s3://crm/", list(imported), list(failed), list(left), stopped)


def report(*goals: GoalReport) -> RunReport:
    return RunReport("crm", list(goals))


def test_headline_counts_what_was_imported() -> None:
    ran = report(goal(imported=(FIRST,)), goal(imported=(ImportedFile(B, 2, Outcomes(created=1), 1.0),)))

    assert ran.succeeded
    assert headline(ran) == "2 files imported, 1,001 rows, 20 of them rejected."


def test_headline_of_nothing_to_do() -> None:
    found = report(goal(left=(LeftFile(A, "imported on 2026-01-02"),)))

    assert headline(found) == "Nothing to do: 1 file found, none new or changed."
    assert headline(report(goal())) == "Nothing to do: no file matches."
    assert left_table(found) == [{"file": "s3://crm/a.csv", "the ledger says": "imported on 2026-01-02"}]


def test_a_failed_file_fails_the_run_and_is_named_first() -> None:
    ran = report(goal(imported=(FIRST,), failed=(FailedFile(B, 2, "SOURCE_CHANGED: replaced"),)))

    assert not ran.succeeded
    assert headline(ran) == "1 of 2 files imported. s3://crm/b.csv: SOURCE_CHANGED: replaced"


def test_a_stopped_goal_fails_the_run() -> None:
    ran = report(goal(stopped="NO_SUCH_BUCKET: there is no bucket crm"))

    assert not ran.succeeded
    assert "goal customers: NO_SUCH_BUCKET" in headline(ran)


@pytest.mark.spec("R1", "R4")
def test_summary_shows_every_outcome_and_their_sum() -> None:
    text = summary_markdown(report(goal(imported=(FIRST, ImportedFile(B, 2, Outcomes(created=1_000, rejected=5), 2.0)))))

    assert "| `a.csv` | 1,000 | 900 | 50 | 20 | 10 | 20 | 500 |" in text
    assert "| all | 2,005 | 1,900 | 50 | 20 | 10 | 25 | 501 |" in text


@pytest.mark.spec("B2")
def test_summary_says_why_rows_were_rejected_and_where_they_are() -> None:
    reasons = {"WRONG_COLUMN_COUNT": 1, "NO_IDENTIFIER": 2}
    text = summary_markdown(report(goal(imported=(ImportedFile(A, 1, Outcomes(7, rejected=3), 1.0, "_headrace/rejects/a.csv", reasons),))))

    assert text.index("`NO_IDENTIFIER`") < text.index("`WRONG_COLUMN_COUNT`"), "the most frequent first"
    assert "The link column is blank" in text
    assert "`s3://crm/_headrace/rejects/a.csv`" in text
    assert "The first" not in text


def test_summary_says_when_it_counts_the_first_rejects_alone() -> None:
    file = ImportedFile(A, 1, Outcomes(7, rejected=3_000, cells=5), 1.0, "_headrace/rejects/a.csv", {"NO_IDENTIFIER": 20})

    assert "Rows: 3,000. Cells of rows that were imported without them: 5. The first 20 of them:" in summary_markdown(
        report(goal(imported=(file,)))
    )


def test_a_file_name_breaks_neither_table_nor_code() -> None:
    file = ImportedFile(FileName("crm", "a|b`<script>\n.csv"), 1, Outcomes(created=1), 1.0)
    lines = summary_markdown(report(goal(imported=(file,)))).splitlines()

    assert "| `a¦b'<script>?.csv` | 1 | 1 | 0 | 0 | 0 | 0 | 1 |" in lines
