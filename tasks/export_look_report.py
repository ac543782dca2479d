"""What looking at an export goal found, for people: the texts of its artifacts. Values are masked unless somebody asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.masking import Values
from streaming.exporting.scan_destination import ScannedDestination
from streaming.look.file_dates import FileDates
from tasks.markdown import as_code, as_table

MOST_FILES = 1_000
"""Of a directory that an artifact lists, the newest ones."""


def destinations_headline(scanned: Mapping[str, ScannedDestination]) -> str:
    """A sentence for each goal (SPEC E2)."""
    return " ".join(f"{_available(one)} to export by goal {goal}." for goal, one in scanned.items())


def _available(one: ScannedDestination) -> str:
    return "Unknown how many profiles are available" if one.available is None else f"{one.available:,} profiles are available"


def destinations_table(scanned: Mapping[str, ScannedDestination]) -> list[dict[str, Any]]:
    """The files that are there (SPEC E3)."""
    rows: list[dict[str, Any]] = []
    for goal, there in scanned.items():
        if there.problem:
            rows.append({"goal": goal, "file": "", "bytes": "", "modified (UTC)": "", "status": "", "why": there.problem})
        rows += [
            {
                "goal": goal,
                "file": one.key,
                "bytes": one.size,
                "modified (UTC)": f"{one.last_modified:%Y-%m-%d %H:%M:%S}",
                "status": "there",
                "why": "lies where the goal exports to",
            }
            for one in there.files[:MOST_FILES]
        ]
    return rows


def dates_headline(found: FileDates) -> str:
    refused = sum(one.refused for one in found.columns)
    return f"{len(found.columns):,} columns of dates; {refused:,} values are not written as the goal writes them."


def dates_markdown(found: FileDates, values: Values) -> str:
    parts = [f"## {as_code(found.file.location)}", f"**{dates_headline(found)}**"]
    if values is Values.MASKED:
        parts.append("Values are masked: letters as a, digits as 9.")
    rows = []
    for one in found.columns:
        example = next((f"{values.of(text)} → {values.of(value) if value else 'not read'}" for text, value in one.values.items()), "")
        fits = ", ".join(map(as_code, one.fits))
        rows.append((as_code(one.column), one.kind, as_code(one.format), f"{one.read:,}", f"{one.refused:,}", as_code(example), fits))
    if rows:
        parts.append(as_table(("Column", "Type", "The goal's format", "Read", "Not read", "For example", "Would fit"), rows))
    return "\n\n".join(parts) + "\n"
