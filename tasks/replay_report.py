"""What a replay of rejects did, for people, and as a run of the history. No cell values: numbers, codes and places only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from headrace.outcomes import Outcomes
from profile_store.runs import RunFile
from streaming.importing.corrected_file import Problem
from tasks.markdown import as_code, as_table, as_text

COUNTS = ("created", "updated", "unchanged", "skipped")


@dataclass(frozen=True)
class ReplayedPart:
    """One import of a replay: of rows, or of cells. `lines` of the corrected file went into it; `reason`: why it failed, empty for a complete one."""

    bucket: str
    key: str
    import_seq: int
    of_rows: bool
    lines: int
    outcomes: Outcomes
    rejects_key: str | None
    reason: str = ""

    @property
    def again(self) -> int:
        """Lines that were rejected again."""
        return self.outcomes.rejected + (0 if self.of_rows else self.outcomes.cells)


@dataclass
class ReplayReport:
    """`of`: the import that rejected the lines first. `left`: lines that can't be replayed as they are, `problems` the first of them.

    `before`: lines that stand twice in the file, or were known to be replayed when it was read.
    """

    connection: str
    file: str
    domain: str = ""
    of: int = 0
    goal: str = ""
    before: int = 0
    left: int = 0
    problems: tuple[Problem, ...] = ()
    parts: list[ReplayedPart] = field(default_factory=list)

    @property
    def lines(self) -> int:
        return self.before + self.left + sum(part.lines for part in self.parts)

    @property
    def repeated(self) -> int:
        """Lines that were replayed before."""
        return self.before + sum(part.lines - part.outcomes.rows for part in self.parts if not part.reason)

    @property
    def again(self) -> int:
        return sum(part.again for part in self.parts)

    @property
    def replayed(self) -> int:
        return sum(part.outcomes.rows - part.again for part in self.parts)

    @property
    def succeeded(self) -> bool:
        return not any(part.reason for part in self.parts)


def headline(report: ReplayReport) -> str:
    """One line: the state message of the run, and the reason in its record."""
    failed = next((part.reason for part in report.parts if part.reason), "")
    return f"{', '.join(_said(report))}.{f' {failed}' if failed else ''}"


def _said(report: ReplayReport) -> Iterator[str]:
    yield f"{report.lines:,} {'line' if report.lines == 1 else 'lines'} of rejects of import {report.of}: {report.replayed:,} replayed"
    if report.again:
        yield f"{report.again:,} rejected again"
    if report.repeated:
        yield f"{report.repeated:,} replayed before"
    if report.left:
        yield f"{report.left:,} left as they are"


def counts_of(report: ReplayReport) -> Outcomes:
    return sum((part.outcomes for part in report.parts), start=Outcomes())


def summary_markdown(report: ReplayReport) -> str:
    parts = [f"## Replay of {as_code(report.file)}", f"**{as_text(headline(report))}**"]
    if report.parts:
        header = ("Import", "What", "Lines", *(name.capitalize() for name in COUNTS), "Rejected again", "Where")
        parts.append(as_table(header, [_row(part) for part in report.parts]))
    if report.problems:
        rows = [(f"{one.line:,}", as_text(one.column), as_code(one.code), as_text(one.message)) for one in report.problems]
        parts += ["### Left as they are", as_table(("Line", "Column", "Code", "Why"), rows)]
    return "\n\n".join(parts) + "\n"


def _row(part: ReplayedPart) -> tuple[str, ...]:
    counts = (part.lines, *(getattr(part.outcomes, name) for name in COUNTS), part.again)
    where = as_code(f"s3://{part.bucket}/{part.rejects_key}") if part.rejects_key else ""
    return (str(part.import_seq), "rows" if part.of_rows else "cells", *(f"{count:,}" for count in counts), where)


def files_of(report: ReplayReport) -> list[RunFile]:
    return [
        RunFile(
            bucket=part.bucket,
            key=part.key,
            import_seq=part.import_seq,
            state="FAILED" if part.reason else "COMPLETE",
            rows=part.outcomes.rows,
            outcomes=part.outcomes.as_dict(),
            rejects_key=part.rejects_key,
            reason=part.reason,
        )
        for part in report.parts
    ]
