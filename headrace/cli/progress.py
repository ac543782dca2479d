"""The progress bar of a run: on a terminal only, and never on stdout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from headrace.cli.terminal import Terminal, plain

Draw = Callable[[float | None, str], None]
"""Percent (None: not known) and what is done now."""


@contextmanager
def progress_bar(terminal: Terminal) -> Iterator[Draw]:
    """Goes away when it is done: the result says the rest."""
    columns = (BarColumn(bar_width=30), TaskProgressColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=terminal.notes, transient=True, disable=not terminal.notes.is_terminal) as progress:
        task = progress.add_task("starting", total=None)

        def draw(percent: float | None, text: str) -> None:
            progress.update(task, description=plain(text), total=None if percent is None else 100.0, completed=percent or 0.0)

        yield draw
