"""What the exports of a run did, for people. No values, no secrets: names, counts, codes and places only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from profile_store.runs import EXPORT, RunFile
from streaming.exporting.write_export import WrittenExport
from tasks.markdown import as_code, as_table, as_text


@dataclass
class ExportReport:
    """Of one goal. `place`: s3:// of the directory that its file goes to. `failed`: why there is no file;
    with `written`: why its profiles are not counted yet."""

    goal: str
    domain: str
    place: str
    written: WrittenExport | None = None
    seconds: float = 0.0
    failed: str = ""


def exports_headline(exports: Sequence[ExportReport]) -> str:
    """One sentence; empty where nothing was to be exported."""
    if not exports:
        return ""
    written = [one.written for one in exports if one.written is not None]
    of = f" of {len(exports)}" if len(written) < len(exports) else ""
    files = "file" if len(exports if of else written) == 1 else "files"
    exported, available = sum(one.exported for one in written), sum(one.available for one in written)
    said = f"{len(written)}{of} {files} exported" + (f", {exported:,} of {available:,} available profiles" if written else "")
    left_out = sum(sum(one.left_out.values()) for one in written)
    return said + (f"; {left_out:,} values left out." if left_out else ".")


def export_parts(export: ExportReport) -> list[str]:
    """Of the summary, in markdown."""
    parts = [f"### Goal {as_code(export.goal)}", f"From domain {as_code(export.domain)} to {as_code(export.place)}."]
    if export.failed:
        parts.append(f"**Failed.** {as_text(export.failed)}")
    written = export.written
    if written is None:
        return parts
    rate = written.exported / export.seconds if export.seconds > 0 else 0.0
    counts = (written.members, written.available, written.exported, written.size, round(rate))
    row = (as_code(f"s3://{written.bucket}/{written.key}"), *(f"{count:,}" for count in counts))
    parts.append(as_table(("File", "In the segment", "Available", "Exported", "Bytes", "Profiles/s"), [row]))
    if written.left_out:
        rows = [(as_code(header), f"{count:,}") for header, count in written.left_out.items()]
        parts += [
            "#### Values left out",
            "Their cells are empty: a value that holds the multi-value separator would be read as several. Another `format.multi_value` writes them.",
            as_table(("Column", "Count"), rows),
        ]
    return parts


def file_of_export(export: ExportReport) -> RunFile:
    """As the run's history keeps it. Of one that failed before it had a name, its directory."""
    written = export.written
    if written is None:
        bucket, _, key = export.place.removeprefix("s3://").partition("/")
        return RunFile(bucket, key, 0, "FAILED", reason=export.failed, goal=export.goal, domain=export.domain, kind=EXPORT)
    return RunFile(
        written.bucket,
        written.key,
        0,
        "FAILED" if export.failed else "COMPLETE",
        seconds=round(export.seconds, 3),
        reason=export.failed,
        goal=export.goal,
        domain=export.domain,
        kind=EXPORT,
        available=written.available,
        exported=written.exported,
        left_out=written.left_out,
    )
