"""`headrace dry-run`: the whole import of a file by the real rules, which changes nothing (SPEC B3). Whoever runs it may read profiles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from headrace.cli.progress import progress_bar
from headrace.cli.servers import opened
from headrace.cli.terminal import Terminal, table
from profile_store import registry
from streaming.dry_run.run import DryRun, dry_run
from streaming.dry_run.sample import ProfileChange
from streaming.importing.context import Progress
from streaming.look.chosen import chosen_file, chosen_goal
from streaming.look.words import in_words


def show_dry_run(terminal: Terminal, connection: str, goal: str, file: str) -> bool:
    with opened() as context, progress_bar(terminal) as draw:
        found = registry.get_connection(context.store, connection)
        chosen = chosen_goal(found, goal)
        version = chosen_file(context, found, chosen, file)

        def report(progress: Progress) -> None:
            draw(None, f"{version.key.rpartition('/')[2]}: {progress.detail}")

        made = dry_run(replace(context, report=report), found, chosen, version)
    terminal.document({"connection": connection, "goal": chosen.id, **_document(made)})
    _show(terminal, made)
    return True


def _show(terminal: Terminal, made: DryRun) -> None:
    counts = made.outcomes
    rate = f": {counts.rows / made.seconds:,.0f} rows/s" if made.seconds else ""
    terminal.say(f"{made.file.location}: nothing was changed. An import would give:", style="bold")
    terminal.say(f"  {counts.rows:,} rows in {made.seconds:.1f} s{rate}")
    names = ("created", "updated", "unchanged", "skipped", "rejected")
    terminal.say("  " + ", ".join(f"{getattr(counts, one):,} {one}" for one in names) + f"; {counts.cells:,} values rejected alone")
    terminal.say(f"  {made.new_profiles:,} new profiles, {made.changed_profiles:,} changed ones")
    for warning in made.warnings:
        terminal.warn(warning)
    _show_rejects(terminal, made)
    for change in made.profiles:
        _show_change(terminal, made, change)
    terminal.note(f"a run would import {made.wanted_files:,} of {made.files.total():,} matching files now")


def _show_rejects(terminal: Terminal, made: DryRun) -> None:
    if not made.rejects:
        return
    rows = [(f"{count:,}", column or "(row)", reason.value, reason.message) for (column, reason), count in made.rejects.most_common()]
    terminal.show(table(("rejected", "column", "code", "why"), rows, numbers=("rejected",)))
    first = [(str(one.reject.line), one.reject.column or "(row)", one.reject.reason.value, one.text) for one in made.sample]
    terminal.show(table(("line", "column", "code", "in the file"), first, numbers=("line",)))


def _show_change(terminal: Terminal, made: DryRun, change: ProfileChange) -> None:
    new = change.before is None
    terminal.say(f"profile {change.identifier}: {'new' if new else 'changed'}", style="green" if new else "yellow")
    before, rules = change.before or {}, {one.property: one.rule for one in made.plan.mappings}
    rows = [(f"  {name}", rules.get(name, ""), in_words(before.get(name)), in_words(change.after.get(name))) for name in change.properties]
    terminal.show(table(("  property", "rule", "before", "after"), rows))


def _document(made: DryRun) -> dict[str, Any]:
    return {
        "file": {"bucket": made.file.bucket, "key": made.file.key, "size": made.file.size},
        "rows": made.outcomes.rows,
        **made.outcomes.as_dict(),
        "new_profiles": made.new_profiles,
        "changed_profiles": made.changed_profiles,
        "seconds": round(made.seconds, 3),
        "rejects": [{"column": column, "code": reason.value, "count": count} for (column, reason), count in made.rejects.most_common()],
        "first_rejects": [
            {"line": one.reject.line, "column": one.reject.column, "code": one.reject.reason.value, "text": one.text} for one in made.sample
        ],
        "profiles": [{"identifier": one.identifier, "before": one.before, "after": one.after} for one in made.profiles],
        "files": dict(made.files),
        "files_to_import": made.wanted_files,
        "warnings": made.warnings,
    }
