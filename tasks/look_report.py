"""What looking before running found, for people: the texts of its artifacts.

They lie in Prefect's database, which no erasure reaches: so values are masked unless somebody asks for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headrace.masking import Values
from headrace.outcomes import Reason
from streaming.importing.scan import ScannedFile
from streaming.look.detect import Detected, DetectedField
from streaming.look.preview import Preview, PreviewedMapping
from streaming.look.words import becomes_of, format_advice, in_words, kind_of, link_of, rule_of
from tasks.markdown import as_code, as_table, as_text

MOST_COLUMNS = 200
"""Of a file that an artifact lists."""


def buckets_table(buckets: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    return [{"bucket": name, "goals that read it": ", ".join(goals)} for name, goals in buckets.items()]


def scan_table(scanned: Mapping[str, Sequence[ScannedFile]]) -> list[dict[str, Any]]:
    """A row for each file: what a run would do with it, and why (SPEC I4)."""
    return [
        {
            "goal": goal,
            "file": file.version.key,
            "bytes": file.version.size,
            "modified (UTC)": f"{file.version.last_modified:%Y-%m-%d %H:%M:%S}",
            "status": file.status,
            "why": file.reason,
        }
        for goal, files in scanned.items()
        for file in files
    ]


def scan_headline(scanned: Mapping[str, Sequence[ScannedFile]]) -> str:
    files = [file for found in scanned.values() for file in found]
    if not files:
        return "No file matches."
    wanted = sum(file.wanted for file in files)
    return f"{_many(len(files), 'file')} found, a run would import {wanted:,} of them."


def preview_headline(preview: Preview) -> str:
    if preview.problems:
        return f"An import would fail: {preview.problems[0]}"
    rows, cells = preview.rejected.total(), sum(one.rejected.total() for one in preview.mappings)
    looked = preview.head.rows + len(preview.head.bad)
    whole = "all" if preview.head.whole else "the first"
    return f"{_many(rows, 'row')} and {_many(cells, 'value')} would be rejected among {whole} {_many(looked, 'row')}."


def preview_markdown(preview: Preview, values: Values) -> str:
    parts = [f"## {as_code(preview.file.location)}", f"**{as_text(preview_headline(preview))}**"]
    if values is Values.MASKED:
        parts.append("Values are masked: letters as a, digits as 9.")
    parts += [f"- **An import would fail**: {as_text(one)}" for one in preview.problems]
    parts += _mappings(preview, values)
    parts += _moments(preview, values)
    found = [(f"{count:,}", as_text(link_of(preview.plan, linked))) for linked, count in preview.links.most_common()]
    found += [(f"{count:,}", as_text(f"{why.value}: {why.message}")) for why, count in preview.rejected.items() if why not in preview.links]
    parts += ["### How rows find their profile", as_table(("Rows", "By"), found)]
    parts += _rows(preview, values)
    if preview.unmapped:
        more = f" and {len(preview.unmapped) - MOST_COLUMNS:,} more" if len(preview.unmapped) > MOST_COLUMNS else ""
        parts += ["### Columns that are not mapped", ", ".join(map(as_code, preview.unmapped[:MOST_COLUMNS])) + more]
    return "\n\n".join(parts) + "\n"


def _mappings(preview: Preview, values: Values) -> Iterator[str]:
    yield "### Columns that are mapped"
    rows = []
    for one in preview.mappings:
        example = next((f"{values.of(text)} → {values.of(in_words(value))}" for text, value in one.values.items()), "")
        mapping = one.mapping
        rows.append(
            (
                as_code(mapping.column),
                as_code(mapping.property),
                kind_of(mapping),
                rule_of(mapping),
                f"{one.read:,}",
                f"{one.blank:,}",
                f"{one.rejected.total():,}",
                as_code(example) if example else "",
            )
        )
    yield as_table(("Column", "Property", "Type", "Rule", "Read", "Blank", "Rejected", "For example"), rows)
    refused = [
        (as_code(one.mapping.column), f"{count:,}", as_code(why.value), as_text(why.message), as_code(values.of(_refused(one, why))))
        for one in preview.mappings
        for why, count in one.rejected.most_common()
    ]
    if refused:
        yield "### Values that are rejected"
        yield as_table(("Column", "Count", "Code", "Meaning", "For example"), refused)
    yield from (f"- {as_text(warning)}" for one in preview.mappings for warning in one.warnings)


def _refused(one: PreviewedMapping, why: Reason) -> str:
    return next((text for text, reason in one.refused.items() if reason is why), "")


def _moments(preview: Preview, values: Values) -> Iterator[str]:
    moments = [one for one in preview.mappings if one.is_moment]
    if not moments:
        return
    yield "### Dates and times"
    rows = []
    for one in moments:
        zone = preview.plan.file_format.time_zone if one.mapping.type == "datetime" else ""
        read = next((f"{values.of(text)} → {values.of(in_words(value))}" for text, value in one.values.items()), "")
        counts = f"{one.read:,}", f"{one.rejected.total():,}"
        example = as_code(read) if read else ""
        rows.append((as_code(one.mapping.column), as_code(one.format), zone, *counts, example, as_text(format_advice(one))))
    yield as_table(("Column", "Format", "Time zone", "Read", "Not read", "For example", "Advice"), rows)


def _rows(preview: Preview, values: Values) -> Iterator[str]:
    yield "### First rows"
    mappings, rows = preview.plan.mappings, []
    for row in preview.shown:
        verdict = f"rejected: {row.rejected.value}" if row.rejected is not None else as_text(link_of(preview.plan, row.linked))
        rows.append((f"{row.line:,}", "", "", "", verdict))
        for cell in row.cells:
            mapping = mappings[cell.mapping]
            becomes = as_text(becomes_of(mapping, cell.becomes, values))
            rows.append(("", as_code(mapping.column), as_code(values.of(cell.text)), as_code(mapping.property), becomes))
    yield as_table(("Line", "Column", "Cell", "Property", "Becomes"), rows)


def detected_headline(detected: Detected) -> str:
    if not detected.fields:
        return "Every column is mapped."
    warned = sum(bool(one.warnings or one.left_out) for one in detected.fields)
    return f"{_many(len(detected.fields), 'column')} not mapped; {warned:,} of them with a warning."


def detected_markdown(detected: Detected) -> str:
    parts = [f"## {as_code(detected.file.location)}", f"**{as_text(detected_headline(detected))}**"]
    if detected.fields:
        kinds = [
            (as_code(one.column), as_code(one.target), f"list of {one.type}" if one.multiple else one.type, f"{one.filled:,}", _said(one))
            for one in detected.fields
        ]
        parts += [f"Types are guessed from {detected.rows:,} rows.", as_table(("Column", "Property", "Type", "Values", "Warnings"), kinds)]
        parts += ["To paste below `mappings:` of the goal:", "\n".join(f"    {line}" for line in detected.yaml.splitlines())]
    return "\n\n".join(parts) + "\n"


def _said(one: DetectedField) -> str:
    return "; ".join(as_text(said) for said in (*one.warnings, one.left_out) if said)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
