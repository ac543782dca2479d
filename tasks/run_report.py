"""What a run did, for people: the texts of its artifacts. No cell values, no secrets: names, counts, codes and places only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.outcomes import Outcomes, Reason
from profile_store.runs import RunFile
from tasks.export_report import ExportReport, export_parts, exports_headline, file_of_export
from tasks.markdown import as_code, as_table, as_text


@dataclass(frozen=True)
class FileName:
    bucket: str
    key: str

    @property
    def location(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class ImportedFile:
    """A file that was imported to its end; `seconds` from its turn to its last durable outcome.

    `rejects_key`: the object that holds its rejects. `reasons`: codes of its first rejects, counted; all of them, where there are few.
    """

    file: FileName
    import_seq: int
    outcomes: Outcomes
    seconds: float
    rejects_key: str | None = None
    reasons: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows_per_second(self) -> float:
        return self.outcomes.rows / self.seconds if self.seconds > 0 else 0.0

    @property
    def rejects(self) -> str:
        """Where they are, empty for none."""
        return FileName(self.file.bucket, self.rejects_key).location if self.rejects_key else ""


@dataclass(frozen=True)
class FailedFile:
    """A file whose import failed; `why` says what to do. `outcomes`: what was applied before. `import_seq` 0: it got no number.

    `rejects_key`: the object that holds what was rejected before.
    """

    file: FileName
    import_seq: int
    why: str
    outcomes: Outcomes = field(default_factory=Outcomes)
    rejects_key: str | None = None


@dataclass(frozen=True)
class LeftFile:
    """A file that matches and was left alone, with the ledger's reason."""

    file: FileName
    why: str


@dataclass
class GoalReport:
    """Grows while the goal's files are imported. `place`: s3:// of the directory that they are in.

    `stopped`: why the goal as a whole could not go on (its bucket can't be listed, an outage…); empty otherwise.
    """

    goal: str
    domain: str
    place: str
    imported: list[ImportedFile] = field(default_factory=list)
    failed: list[FailedFile] = field(default_factory=list)
    left: list[LeftFile] = field(default_factory=list)
    stopped: str = ""


@dataclass
class RunReport:
    """Grows with its goals."""

    connection: str
    goals: list[GoalReport] = field(default_factory=list)
    exports: list[ExportReport] = field(default_factory=list)

    @property
    def imported(self) -> list[ImportedFile]:
        return [file for goal in self.goals for file in goal.imported]

    @property
    def failed(self) -> list[FailedFile]:
        return [file for goal in self.goals for file in goal.failed]

    @property
    def left(self) -> list[LeftFile]:
        return [file for goal in self.goals for file in goal.left]

    @property
    def stopped(self) -> list[GoalReport]:
        return [goal for goal in self.goals if goal.stopped]

    @property
    def succeeded(self) -> bool:
        return not self.failed and not self.stopped and not any(one.failed for one in self.exports)


def headline(report: RunReport) -> str:
    """One line: the state message of the run and the title of its summary."""
    problems = [f"{file.file.location}: {file.why}" for file in report.failed]
    problems += [f"goal {goal.goal}: {goal.stopped}" for goal in report.stopped]
    problems += [f"goal {one.goal}: {one.failed}" for one in report.exports if one.failed]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    said = [_imports_headline(report) if report.goals or not report.exports else "", exports_headline(report.exports)]
    return " ".join([*(one for one in said if one), *([f"{problems[0]}{more}"] if problems else [])])


def _imports_headline(report: RunReport) -> str:
    if report.failed or report.stopped:
        return f"{len(report.imported)} of {_files(len(report.imported) + len(report.failed))} imported."
    if not report.imported:
        nothing = "Nothing to import" if report.exports else "Nothing to do"
        return f"{nothing}: {_files(len(report.left))} found, none new or changed." if report.left else f"{nothing}: no file matches."
    outcomes = total(file.outcomes for file in report.imported)
    return f"{_files(len(report.imported))} imported, {outcomes.rows:,} rows, {outcomes.rejected:,} of them rejected."


def summary_markdown(report: RunReport) -> str:
    parts = [f"## Connection {as_code(report.connection)}", f"**{as_text(headline(report))}**"]
    for goal in report.goals:
        parts += _goal_parts(goal)
    for export in report.exports:
        parts += export_parts(export)
    return "\n\n".join(parts) + "\n"


def left_table(report: RunReport) -> list[dict[str, Any]]:
    """For a run that found nothing to do: each file, and what the ledger says about it."""
    return [{"file": file.file.location, "the ledger says": file.why} for file in report.left]


def total(outcomes: Iterable[Outcomes]) -> Outcomes:
    return sum(outcomes, start=Outcomes())


def _goal_parts(goal: GoalReport) -> list[str]:
    parts = [f"### Goal {as_code(goal.goal)}", f"From {as_code(goal.place)} into domain {as_code(goal.domain)}."]
    if goal.stopped:
        parts.append(f"**Stopped.** {as_text(goal.stopped)}")
    if goal.imported:
        parts.append(_outcomes_table(goal))
    for file in goal.imported:
        if file.rejects:
            parts += _rejects_parts(goal, file)
    if goal.failed:
        rows = [(_name(goal, file.file), f"{file.outcomes.rows:,}", as_text(file.why)) for file in goal.failed]
        parts += ["#### Failed", as_table(("File", "Rows applied", "Why"), rows)]
    if goal.left:
        parts += [
            "#### Left alone",
            as_table(("File", "The ledger says"), [(_name(goal, file.file), as_text(file.why)) for file in goal.left]),
        ]
    return parts


def _outcomes_table(goal: GoalReport) -> str:
    rows = [_outcomes_row(_name(goal, file.file), file.outcomes, file.rows_per_second) for file in goal.imported]
    if len(goal.imported) > 1:
        outcomes, seconds = total(file.outcomes for file in goal.imported), sum(file.seconds for file in goal.imported)
        rows.append(_outcomes_row("all", outcomes, outcomes.rows / seconds if seconds > 0 else 0.0))
    return as_table(("File", "Rows", "Created", "Updated", "Unchanged", "Skipped", "Rejected", "Rows/s"), rows)


def _outcomes_row(name: str, outcomes: Outcomes, rate: float) -> tuple[str, ...]:
    counts = (outcomes.rows, outcomes.created, outcomes.updated, outcomes.unchanged, outcomes.skipped, outcomes.rejected, round(rate))
    return (name, *(f"{count:,}" for count in counts))


def _rejects_parts(goal: GoalReport, file: ImportedFile) -> list[str]:
    rejects, counted = file.outcomes.rejected + file.outcomes.cells, sum(file.reasons.values())
    first = f" The first {counted:,} of them:" if 0 < counted < rejects else ""
    parts = [
        f"#### Rejected of {_name(goal, file.file)}",
        f"Rows: {file.outcomes.rejected:,}. Cells of rows that were imported without them: {file.outcomes.cells:,}.{first}",
    ]
    if file.reasons:
        parts.append(_reasons_table(file.reasons))
    return [*parts, f"All of them, with line, column and raw row: {as_code(file.rejects)}"]


def _reasons_table(reasons: Mapping[str, int]) -> str:
    ordered = sorted(reasons.items(), key=lambda reason: (-reason[1], reason[0]))
    return as_table(("Count", "Code", "Meaning"), [(f"{count:,}", as_code(code), as_text(_meaning(code))) for code, count in ordered])


def _name(goal: GoalReport, file: FileName) -> str:
    return as_code(file.location.removeprefix(goal.place))


def _meaning(code: str) -> str:
    return Reason(code).message if code in Reason.__members__ else ""


def _files(count: int) -> str:
    return f"{count:,} file" if count == 1 else f"{count:,} files"


def files_of(report: RunReport) -> list[RunFile]:
    """The run's files as its history keeps them."""
    imported = [_imported(goal, file) for goal in report.goals for file in goal.imported]
    failed = [_failed(goal, file) for goal in report.goals for file in goal.failed]
    return [*imported, *failed, *map(file_of_export, report.exports)]


def left_of(report: RunReport) -> list[tuple[str, str]]:
    """The files left alone, each with the reason."""
    return [(file.file.location, file.why) for file in report.left]


def _imported(goal: GoalReport, file: ImportedFile) -> RunFile:
    return RunFile(
        bucket=file.file.bucket,
        key=file.file.key,
        import_seq=file.import_seq,
        state="COMPLETE",
        rows=file.outcomes.rows,
        outcomes=file.outcomes.as_dict(),
        seconds=round(file.seconds, 3),
        rejects_key=file.rejects_key,
        goal=goal.goal,
        domain=goal.domain,
    )


def _failed(goal: GoalReport, file: FailedFile) -> RunFile:
    return RunFile(
        bucket=file.file.bucket,
        key=file.file.key,
        import_seq=file.import_seq,
        state="FAILED",
        rows=file.outcomes.rows,
        outcomes=file.outcomes.as_dict(),
        rejects_key=file.rejects_key,
        reason=file.why,
        goal=goal.goal,
        domain=goal.domain,
    )
