"""Replay of a corrected file of rejects (SPEC B2; docs/adr/0018).

Its lines become sources of their own below `_headrace/replays/`, which are imported as any file is, each with a number in the domain's sequence: one for
rows; one for cells; and one for each property that is cleared. Which of their lines were replayed before is settled in their turn (`taken_rows`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain

from headrace.connections import Connection
from headrace.errors import TerminalError
from headrace.failpoints import step
from headrace.goals import ExportProfilesGoal
from headrace.reject_ids import RejectId, cells_of_plan, read_name
from headrace.replay_plans import cells_plan, clears, column_of, needed_columns, present_plan, rows_plan
from profile_store import registry, replays, sequence
from profile_store.registration import Registration, Replay
from streaming.importing.announce import refuse_lost_imports
from streaming.importing.context import ImportContext
from streaming.importing.corrected_file import ByteSource, CorrectedFile, CorrectedLine, Problem, corrected_cells
from streaming.importing.plan import judged_objectives
from streaming.importing.register import again_where_the_schema_moves, numbered
from streaming.importing.reject_lines import OWN_COLUMNS
from streaming.importing.replay_source import ReplaySource
from streaming.importing.scan import source_of
from streaming.importing.taken_rows import SEPARATOR
from streaming.split import SPLITTER_FORMAT
from streaming.split.row_text import row_of
from streaming.split.table import read_header

PROBLEMS_SHOWN = 20
_ROWS, _CELLS = "rows", "cells"


@dataclass(frozen=True, slots=True)
class RegisteredReplay:
    """What a corrected file gave. `lines` = `taken` + `repeated` + `left`.

    `registrations`: with how many lines each; `repeated`: lines that were replayed before, or stand there twice; `left`: lines that can't be replayed
    as they are, the first of them in `problems`.
    """

    first: Registration
    registrations: tuple[tuple[Registration, int], ...]
    repeated: int
    left: int
    problems: tuple[Problem, ...]

    @property
    def taken(self) -> int:
        return sum(lines for _, lines in self.registrations)

    @property
    def lines(self) -> int:
        return self.taken + self.repeated + self.left


def register_replay(context: ImportContext, connection: Connection, source: ByteSource, name: str, run_id: str) -> RegisteredReplay:
    """Read a corrected file, called `name`, and register what it replays; `finish` sees each registration through, in order.

    Given again while they are open, it gives the same ones. Raises TerminalError where the file, or the import that it names, is not what it must be.
    """
    file = CorrectedFile(source, name)
    lines = file.lines()
    left: list[Problem] = []
    opening = _first_named(lines, left)
    if opening is None:
        raise TerminalError(
            f"{name}: no line names a rejected row or cell.", code="NOTHING_TO_REPLAY", hint=f"Column {OWN_COLUMNS[0]} must stay as it is."
        )
    first = _named_import(context, connection, name, opening)
    objectives = _present_objectives(connection, first.goal)
    read_header(row_of(file.header, SEPARATOR).encode(), SEPARATOR, needed_columns(first.needed_plan), name)
    reading = _Reading(context, first, file.header)
    with ExitStack() as open_files:
        reading.read(chain([opening], lines), open_files)
        found = tuple((_register(context, first, one, objectives, run_id), one.lines) for one in reading.sources.values())
    problems = [*left, *reading.problems]
    return RegisteredReplay(first, found, reading.repeated, len(left) + reading.left, tuple(problems[:PROBLEMS_SHOWN]))


def _first_named(lines: Iterator[CorrectedLine | Problem], left: list[Problem]) -> CorrectedLine | None:
    for line in lines:
        if isinstance(line, CorrectedLine) and read_name(line.name) is not None:
            return line
        left.append(_nameless(line) if isinstance(line, CorrectedLine) else line)
    return None


def _nameless(line: CorrectedLine) -> Problem:
    return Problem(line.number, OWN_COLUMNS[0], "NOT_A_REJECT", "The first column names no reject of this import: it was changed.")


def _named_import(context: ImportContext, connection: Connection, name: str, opening: CorrectedLine) -> Registration:
    named = read_name(opening.name)
    known = (
        named
        and registry.find_domain(context.store, named[0].domain)
        and sequence.load(context.store, named[0].domain, named[0].import_seq)
    )
    if not known or known.connection != connection.name or known.plan is None or known.source is None:
        raise TerminalError(
            f"{name}, line {opening.number}: connection {connection.name} has no import that this line could be of.",
            code="NO_SUCH_IMPORT",
            hint="`headrace rejects list` shows whose imports have rejects.",
        )
    return known


def _present_objectives(connection: Connection, goal_id: str) -> tuple[str, ...]:
    """Those that rows are judged by. Raises TerminalError where the goal is switched off (SPEC C4)."""
    goal = connection.goal(goal_id)
    if connection.enabled and goal is not None and goal.active and not isinstance(goal, ExportProfilesGoal):
        return judged_objectives(goal, connection.objectives)
    what = (
        f"Connection {connection.name} is off"
        if not connection.enabled
        else f"Goal {goal_id} of connection {connection.name} is not active"
    )
    raise TerminalError(
        f"{what}, so nothing was replayed.", code="SWITCHED_OFF", hint="Set it to true in the connection's file and apply it."
    )


class _Reading:
    """Reads the lines of a corrected file into sources. `problems`: the first of `left`."""

    def __init__(self, context: ImportContext, first: Registration, header: list[str]) -> None:
        self._context = context
        self._first = first
        self._plan = first.needed_plan
        self.header = header
        self.sources: dict[str, ReplaySource] = {}
        self.repeated = self.left = 0
        self.problems: list[Problem] = []
        self._seen: set[str] = set()

    def read(self, lines: Iterator[CorrectedLine | Problem], open_files: ExitStack) -> None:
        waiting: list[tuple[RejectId, CorrectedLine]] = []
        for line in lines:
            named = line if isinstance(line, Problem) else self._named(line)
            if isinstance(named, Problem):
                self._leave(named)
            elif isinstance(line, CorrectedLine):
                waiting.append((named, line))
            if len(waiting) == replays.MARKS_AT_ONCE:
                self._write(waiting, open_files)
                waiting = []
        self._write(waiting, open_files)

    def _named(self, line: CorrectedLine) -> RejectId | Problem:
        """The reject that a line is of, if it was one of this import."""
        found = read_name(line.name)
        if found is None:
            return _nameless(line)
        name, seal = found
        if (name.domain, name.import_seq) != (self._first.domain, self._first.import_seq):
            said = f"The line is of import {name.import_seq} of {name.domain}, the first one of import {self._first.import_seq} of {self._first.domain}."
            return Problem(line.number, OWN_COLUMNS[0], "OTHER_IMPORT", f"{said} Replay it in a file of its own.")
        return name if name.is_sealed_by(seal, self._plan.key, self._first.token) else _nameless(line)

    def _leave(self, problem: Problem) -> None:
        self.left += 1
        if len(self.problems) < PROBLEMS_SHOWN:
            self.problems.append(problem)

    def _write(self, waiting: list[tuple[RejectId, CorrectedLine]], open_files: ExitStack) -> None:
        done = replays.are_replayed(self._context.store, self._first.domain, self._first.import_seq, [name.mark for name, _ in waiting])
        for (name, line), before in zip(waiting, done, strict=True):
            if before or name.mark in self._seen:
                self.repeated += 1
                continue
            cells = corrected_cells(line, name, self.header, self._plan.file_format.separator)
            if isinstance(cells, Problem):
                self._leave(cells)
                continue
            self._seen.add(name.mark)
            kind, cell = _ROWS, ""
            if name.cell:
                cell = cells[self.header.index(column_of(name.cell, self._plan))]
                kind = name.cell if clears(name.cell, cell, self._plan) else _CELLS
            if kind not in self.sources:
                self.sources[kind] = open_files.enter_context(self._source(kind))
            self.sources[kind].add(name, line.name.strip(), cell, cells)

    def _source(self, kind: str) -> ReplaySource:
        if kind == _ROWS:
            return ReplaySource(self.header)
        if kind == _CELLS:
            return ReplaySource(self.header, cells_of_plan(self._plan))
        return ReplaySource(self.header, [kind], blank="clear")


@again_where_the_schema_moves
def _register(context: ImportContext, first: Registration, source: ReplaySource, objectives: tuple[str, ...], run_id: str) -> Registration:
    """One source, uploaded and registered. Raises TransientError; TerminalError where the rows can't be replayed any more."""
    version = source.upload(context.objects_of(first.connection), first)
    refuse_lost_imports(context, first.domain)
    schema = registry.get_domain(context.store, first.domain).schema
    present = present_plan(first.needed_plan, schema, objectives)
    asked = Registration(
        first.domain,
        0,
        "import",
        first.connection,
        first.goal,
        run_id,
        source_of(version),
        cells_plan(present, SEPARATOR, source.cells) if source.cells else rows_plan(present, SEPARATOR),
        f"replay under schema {schema.version}",
        schema.version,
        SPLITTER_FORMAT,
        replay=Replay(first.import_seq, len(source.own_columns)),
    )
    with step("register_replay"):
        return numbered(context, asked)
