"""`headrace preview`: what a goal would make of the first rows of a file (SPEC I5, I9). Whoever runs it may read the file, so values are shown."""

from __future__ import annotations

from typing import Any

from headrace.cli.dates import show_dates
from headrace.cli.servers import opened
from headrace.cli.terminal import Terminal, table
from headrace.goals import ExportProfilesGoal
from headrace.masking import Values
from headrace.outcomes import Reason
from profile_store import registry
from streaming.look.chosen import chosen_file, chosen_goal
from streaming.look.file_dates import file_dates
from streaming.look.preview import Becomes, Preview, PreviewedMapping, PreviewedRow, preview_file
from streaming.look.words import becomes_of, format_advice, in_words, kind_of, link_of, rule_of

SHOWN = 5
"""Rows, cell by cell."""


def show_preview(terminal: Terminal, connection: str, goal: str, file: str, rows: int) -> bool:
    """False where an import of the file would fail as a whole."""
    with opened() as context:
        found = registry.get_connection(context.store, connection)
        writes = found.goal(goal)
        if isinstance(writes, ExportProfilesGoal):
            return show_dates(terminal, connection, writes, file_dates(context, found, writes, file, rows))
        chosen = chosen_goal(found, goal)
        version = chosen_file(context, found, chosen, file)
        preview = preview_file(context, found, chosen, version, rows, SHOWN)
    terminal.document({"connection": connection, "goal": chosen.id, **_document(preview)})
    looked = preview.head.rows + len(preview.head.bad)
    whole = "all" if preview.head.whole else "the first"
    terminal.say(f"{version.location}: {len(preview.head.header):,} columns, {whole} {looked:,} rows looked at", style="bold")
    for problem in preview.problems:
        terminal.say(f"an import would fail: {problem}", style="bold red")
    _show_mappings(terminal, preview)
    _show_moments(terminal, preview)
    _show_links(terminal, preview)
    for row in preview.shown:
        _show_row(terminal, preview, row)
    if preview.unmapped:
        terminal.note(f"not mapped: {', '.join(preview.unmapped)} (headrace detect {connection} {chosen.id})")
    return not preview.problems


def _show_mappings(terminal: Terminal, preview: Preview) -> None:
    rows = []
    for one in preview.mappings:
        mapping, rejected = one.mapping, sum(one.rejected.values())
        rows.append(
            (mapping.column, mapping.property, kind_of(mapping), rule_of(mapping), f"{one.read:,}", f"{one.blank:,}", f"{rejected:,}")
        )
    terminal.show(table(("column", "property", "type", "rule", "read", "blank", "rejected"), rows, numbers=("read", "blank", "rejected")))
    refused = [
        (one.mapping.column, f"{count:,}", reason.value, reason.message, _example(one, reason))
        for one in preview.mappings
        for reason, count in one.rejected.most_common()
    ]
    if refused:
        terminal.show(table(("column", "rejected", "code", "why", "for example"), refused, numbers=("rejected",)))
    for one in preview.mappings:
        for warning in one.warnings:
            terminal.warn(warning)


def _example(one: PreviewedMapping, reason: Reason) -> str:
    return next((text for text, why in one.refused.items() if why is reason), "")


def _show_moments(terminal: Terminal, preview: Preview) -> None:
    rows = []
    for one in preview.mappings:
        if one.is_moment:
            zone = preview.plan.file_format.time_zone if one.mapping.type == "datetime" else ""
            rows += [(one.mapping.column, one.format, zone, text, in_words(value)) for text, value in one.values.items()]
            rows += [(one.mapping.column, one.format, zone, text, reason.value) for text, reason in one.refused.items()]
    if rows:
        terminal.show(table(("date or time", "format", "time zone", "in the file", "is read as"), rows))
    for one in preview.mappings:
        if one.is_moment and one.rejected:
            terminal.warn(
                f"{one.mapping.column}: {sum(one.rejected.values()):,} of {sum(one.rejected.values()) + one.read:,} values are not read;"
                f" {format_advice(one)}"
            )


def _show_links(terminal: Terminal, preview: Preview) -> None:
    rows = [(f"{count:,}", link_of(preview.plan, linked)) for linked, count in preview.links.most_common()]
    rows += [
        (f"{count:,}", f"{reason.value}: {reason.message}") for reason, count in preview.rejected.items() if reason not in preview.links
    ]
    terminal.show(table(("rows", "find their profile by"), rows, numbers=("rows",)))


def _show_row(terminal: Terminal, preview: Preview, row: PreviewedRow) -> None:
    if row.rejected is not None:
        terminal.say(f"line {row.line}: rejected. {row.rejected.value}: {row.rejected.message}", style="red")
    else:
        terminal.say(f"line {row.line}: {link_of(preview.plan, row.linked)}", style="green")
    mappings = preview.plan.mappings
    cells = [
        (mappings[one.mapping].column, one.text, mappings[one.mapping].property, _becomes(preview, one.mapping, one.becomes))
        for one in row.cells
    ]
    if cells:
        terminal.show(table(("  column", "cell", "property", "becomes"), [(f"  {cells[0]}", *cells[1:]) for cells in cells]))


def _becomes(preview: Preview, mapping: int, becomes: Becomes) -> str:
    return becomes_of(preview.plan.mappings[mapping], becomes, Values.SHOWN)


def _document(preview: Preview) -> dict[str, Any]:
    plan = preview.plan
    return {
        "file": {"bucket": preview.file.bucket, "key": preview.file.key, "size": preview.file.size},
        "columns": preview.head.header,
        "unmapped": preview.unmapped,
        "rows": preview.head.rows + len(preview.head.bad),
        "whole": preview.head.whole,
        "problems": preview.problems,
        "links": {link_of(plan, linked): count for linked, count in preview.links.items()},
        "rejected_rows": {reason.value: count for reason, count in preview.rejected.items()},
        "mappings": [
            {
                "column": one.mapping.column,
                "property": one.mapping.property,
                "type": one.mapping.type,
                "multiple": one.mapping.multiple,
                "rule": one.mapping.rule,
                "missing": one.missing,
                "read": one.read,
                "blank": one.blank,
                "rejected": {reason.value: count for reason, count in one.rejected.items()},
                "format": one.format,
                "fits": one.fits,
                "values": one.values,
                "refused": {text: reason.value for text, reason in one.refused.items()},
                "warnings": one.warnings,
            }
            for one in preview.mappings
        ],
        "first_rows": [
            {
                "line": row.line,
                "link": None if isinstance(row.linked, Reason) else plan.links[row.linked].property,
                "rejected": None if row.rejected is None else row.rejected.value,
                "cells": [
                    {
                        "column": plan.mappings[one.mapping].column,
                        "property": plan.mappings[one.mapping].property,
                        "cell": one.text,
                        "becomes": None if isinstance(one.becomes, Reason) else one.becomes,
                        "rejected": one.becomes.value if isinstance(one.becomes, Reason) else None,
                    }
                    for one in row.cells
                ],
            }
            for row in preview.shown
        ],
    }
