"""What a dry run found, for people: the text of its artifact. Values of profiles are masked unless somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headrace.masking import Values
from streaming.dry_run.run import DryRun
from streaming.dry_run.sample import ProfileChange
from streaming.look.words import in_words
from tasks.markdown import as_code, as_table, as_text


def dry_run_headline(made: DryRun) -> str:
    """One line: the state message of the run and the title of its artifact."""
    counts = made.outcomes
    return (
        f"Nothing was changed. An import of {counts.rows:,} rows would create {counts.created:,}, update {counts.updated:,},"
        f" leave {counts.unchanged:,} unchanged, skip {counts.skipped:,}, reject {counts.rejected:,}."
    )


def dry_run_markdown(made: DryRun, values: Values) -> str:
    counts = made.outcomes
    parts = [f"## Dry run of {as_code(made.file.location)}", f"**{as_text(dry_run_headline(made))}**"]
    parts += [f"- {as_text(warning)}" for warning in made.warnings]
    numbers = (counts.rows, counts.created, counts.updated, counts.unchanged, counts.skipped, counts.rejected, counts.cells)
    header = ("Rows", "Created", "Updated", "Unchanged", "Skipped", "Rejected", "Values rejected alone")
    parts.append(as_table(header, [tuple(f"{number:,}" for number in numbers)]))
    parts.append(
        f"{made.new_profiles:,} new profiles, {made.changed_profiles:,} changed ones; it took {made.seconds:.1f} s."
        f" A run would import {made.wanted_files:,} of {made.files.total():,} matching files now."
    )
    parts += _rejects(made, values)
    parts += _profiles(made, values)
    return "\n\n".join(parts) + "\n"


def _rejects(made: DryRun, values: Values) -> Iterator[str]:
    if not made.rejects:
        return
    yield "### Rejected"
    counted = [
        (f"{count:,}", as_code(column) if column else "the row", as_code(reason.value), as_text(reason.message))
        for (column, reason), count in made.rejects.most_common()
    ]
    yield as_table(("Count", "Column", "Code", "Meaning"), counted)
    yield f"The first {len(made.sample):,}:" if len(made.sample) < made.rejects.total() else "In the file:"
    first = [
        (
            str(one.reject.line),
            as_code(one.reject.column) if one.reject.column else "the row",
            as_code(one.reject.reason.value),
            as_code(values.of(one.text)),
        )
        for one in made.sample
    ]
    yield as_table(("Line", "Column", "Code", "In the file"), first)


def _profiles(made: DryRun, values: Values) -> Iterator[str]:
    if not made.profiles:
        return
    yield "### Some of the profiles"
    if values is Values.MASKED:
        yield "Values are masked: letters as a, digits as 9."
    rules = {one.property: one.rule for one in made.plan.mappings}
    rows = []
    for number, change in enumerate(made.profiles, 1):
        what = "new" if change.before is None else "changed"
        name = change.identifier if values is Values.SHOWN else str(number)
        rows += [(f"{name}, {what}", *row) for row in _changes(change, rules, values)]
    yield as_table(("Profile", "Property", "Rule", "Change", "Before", "After"), rows)


def _changes(change: ProfileChange, rules: Mapping[str, str], values: Values) -> Iterator[tuple[str, ...]]:
    before = change.before or {}
    for name in change.properties:
        old, new = before.get(name), change.after.get(name)
        what = "filled" if old is None else "removed" if new is None else "changed"
        shown = (as_code(values.of(in_words(one))) if one is not None else "" for one in (old, new))
        yield as_code(name), rules.get(name, ""), what, *shown
