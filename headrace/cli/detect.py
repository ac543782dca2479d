"""`headrace detect`: mappings for all columns of a file that a goal does not map yet, to paste into its file (SPEC M8, M9)."""

from __future__ import annotations

from dataclasses import asdict

from headrace.cli.servers import opened
from headrace.cli.terminal import Terminal, table
from profile_store import registry
from streaming.look.chosen import chosen_file, chosen_goal
from streaming.look.detect import Detected, detect_fields


def show_detected(terminal: Terminal, connection: str, goal: str, file: str, prefix: str | None, rows: int) -> bool:
    with opened() as context:
        found = registry.get_connection(context.store, connection)
        chosen = chosen_goal(found, goal)
        detected = detect_fields(context, found, chosen, chosen_file(context, found, chosen, file), rows, prefix)
    terminal.document(
        {
            "connection": connection,
            "goal": chosen.id,
            "file": {"bucket": detected.file.bucket, "key": detected.file.key, "size": detected.file.size},
            "rows": detected.rows,
            "fields": [asdict(one) for one in detected.fields],
            "yaml": detected.yaml,
        }
    )
    if not detected.fields:
        terminal.say(f"{detected.file.location}: every column is mapped", style="green")
        return True
    _show(terminal, detected, f"goal {chosen.id} of connection {connection}")
    return True


def _show(terminal: Terminal, detected: Detected, where: str) -> None:
    """The table and warnings are notes: stdout has the lines to paste and nothing else."""
    terminal.note(f"{detected.file.location}: {len(detected.fields)} columns are not mapped; types are guessed from {detected.rows:,} rows")
    kinds = [(one.column, one.target, f"list of {one.type}" if one.multiple else one.type, f"{one.filled:,}") for one in detected.fields]
    terminal.notes.print(table(("column", "property", "type", "values"), kinds, numbers=("values",)))
    for one in detected.fields:
        for said in (*one.warnings, *([one.left_out] if one.left_out else [])):
            terminal.warn(f"{one.column}: {said}")
    terminal.note(f"below mappings: of {where}:")
    for line in detected.yaml.splitlines():
        terminal.out.print(line, soft_wrap=True, markup=False)
