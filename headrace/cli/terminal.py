"""What commands say, and to whom: people read tables, machines one JSON document.

Without `--json`: what was asked for goes to stdout, notes, progress and errors to stderr. With it: stdout has one JSON document and nothing
else (`{"error": …}` where the command failed), and all that is meant for people goes to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from headrace.errors import ConfigurationError, HeadraceError

PIPE_WIDTH = 160
"""Of tables that no terminal shows: wide enough that keys and reasons stay on one line."""


class Form(Enum):
    PEOPLE = "people"
    JSON = "json"


@dataclass(frozen=True)
class Terminal:
    """`out` shows what was asked for; `notes` everything else."""

    form: Form
    out: Console
    notes: Console

    @classmethod
    def of(cls, form: Form) -> Terminal:
        notes = _console(to_stderr=True)
        return cls(form, notes if form is Form.JSON else _console(to_stderr=False), notes)

    def document(self, content: object) -> None:
        """The command's answer, for machines."""
        if self.form is Form.JSON:
            sys.stdout.write(json.dumps(content, ensure_ascii=False, indent=2, default=str) + "\n")
            sys.stdout.flush()

    def show(self, content: RenderableType) -> None:
        """The command's answer, for people."""
        self.out.print(content)

    def say(self, line: str, style: str = "") -> None:
        self.out.print(Text(plain(line), style=style), soft_wrap=True)

    def note(self, line: str, style: str = "dim") -> None:
        self.notes.print(Text(plain(line), style=style), soft_wrap=True)

    def warn(self, line: str) -> None:
        self.notes.print(Text.assemble(("warning: ", "bold yellow"), plain(line)), soft_wrap=True)

    def fail(self, error: HeadraceError) -> None:
        """One block: code, what happened, what to do."""
        self.document({"error": error_document(error)})
        lines = Text.assemble((error.code, "bold red"), "\n")
        for line in error.message.splitlines():
            lines.append(f"  {plain(line)}\n")
        if error.hint:
            lines.append(f"  {plain(error.hint)}\n", style="cyan")
        self.notes.print(lines, soft_wrap=True, end="")


def error_document(error: HeadraceError) -> dict[str, Any]:
    found: dict[str, Any] = {"code": error.code, "message": error.message, "hint": error.hint}
    if isinstance(error, ConfigurationError):
        found["problems"] = error.problems
    return found


def table(header: Sequence[str], rows: Iterable[Sequence[str | Text]], *, numbers: Iterable[str] = ()) -> Table:
    """`numbers`: the columns that stand to the right."""
    right = set(numbers)
    made = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name in header:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(plain(cell)) for cell in row))
    return made


def plain(text: str) -> str:
    """Object keys and values may hold anything: nothing of it may steer the terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _console(*, to_stderr: bool) -> Console:
    stream = sys.stderr if to_stderr else sys.stdout
    return Console(stderr=to_stderr, highlight=False, markup=False, emoji=False, width=None if stream.isatty() else PIPE_WIDTH)
