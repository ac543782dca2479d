"""What a goal would make of the first rows of a file, cell by cell (SPEC I5, I9).

Cells are read by the functions that define an import. What the store decides is not looked at: whether a profile is there, whether an identifier is
another's, what a sum comes to. A dry run does that.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from headrace.connections import Connection
from headrace.import_plan import ImportPlan, PlannedMapping
from headrace.merge import Value, read_mapped
from headrace.outcomes import Reason
from object_store.versions import ObjectVersion
from profile_store import registry
from streaming.importing.context import ImportContext
from streaming.importing.plan import AnyImportGoal, domain_of, plan_of
from streaming.look.existing import Existing, existing_properties
from streaming.look.head import Head, read_head
from streaming.look.moments import MomentType, fitting_formats, goal_format

EXAMPLES = 5
"""Distinct values of a column that are shown."""

Becomes = Value | Reason | None
"""What a cell becomes: a value, nothing (it is blank), or why it is rejected."""


@dataclass(frozen=True, slots=True)
class PreviewedCell:
    """`mapping`: its place in the plan's mappings."""

    mapping: int
    text: str
    becomes: Becomes


@dataclass(frozen=True, slots=True)
class PreviewedRow:
    """`linked`: the place of the link that it uses, or why it has none. `rejected`: why the whole row is not imported, by itself or by its cells."""

    line: int
    linked: int | Reason
    cells: tuple[PreviewedCell, ...]
    rejected: Reason | None


@dataclass(slots=True)
class PreviewedMapping:
    """What becomes of one mapping's cells among the rows looked at. `missing`: the file has no such column, or several.

    `values`, `refused`: the first distinct ones, as they stand in the file, with what they become. `fits`: of a date or date-time with refused
    values, the common formats that would read all its values.
    """

    mapping: PlannedMapping
    missing: bool = False
    read: int = 0
    blank: int = 0
    rejected: Counter[Reason] = field(default_factory=Counter)
    values: dict[str, Value] = field(default_factory=dict)
    refused: dict[str, Reason] = field(default_factory=dict)
    format: str = ""
    fits: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def is_moment(self) -> bool:
        return self.mapping.type in ("date", "datetime")


@dataclass(slots=True)
class Preview:
    """`problems`: why an import of the file would fail as a whole. `links`: link's place, or reason → rows. `shown`: the first rows."""

    file: ObjectVersion
    plan: ImportPlan
    head: Head
    problems: list[str]
    mappings: list[PreviewedMapping]
    links: Counter[int | Reason]
    rejected: Counter[Reason]
    shown: list[PreviewedRow]

    @property
    def unmapped(self) -> list[str]:
        mapped = {*self.plan.columns, *(link.column for link in self.plan.links)}
        return [name for name in self.head.header if name not in mapped]


def preview_file(
    context: ImportContext, connection: Connection, goal: AnyImportGoal, version: ObjectVersion, rows: int, shown: int
) -> Preview:
    """Of the first `rows` rows; each cell of the first `shown` ones. Raises HeaderError, NO_SUCH_PROPERTY, and what reading the object raises."""
    domain = registry.get_domain(context.store, domain_of(goal))
    plan = plan_of(goal, domain, connection.objectives)
    head = read_head(context.objects_of(connection.name), version, plan.file_format, rows)
    existing = existing_properties(context.store, domain, connection, goal, [one.property for one in plan.mappings])
    return preview_of(version, plan, head, existing, shown)


def preview_of(version: ObjectVersion, plan: ImportPlan, head: Head, existing: Existing, shown: int) -> Preview:
    columns = {name: cells for name in head.header if (cells := head.column(name)) is not None}
    wanted = dict.fromkeys((*(link.column for link in plan.links), *plan.columns))
    preview = Preview(
        file=version,
        plan=plan,
        head=head,
        problems=[_missing(name, head) for name in wanted if name not in columns],
        mappings=[PreviewedMapping(one, one.column not in columns, warnings=existing.warnings_of(one.property)) for one in plan.mappings],
        links=Counter(),
        rejected=Counter(one.reason for one in head.bad),
        shown=[PreviewedRow(one.line, one.reason, (), one.reason) for one in head.bad],
    )
    for place, line in enumerate(head.lines):
        row = _row(plan, line, {name: cells[place] for name, cells in columns.items()})
        preview.links[row.linked] += 1
        if row.rejected is not None:
            preview.rejected[row.rejected] += 1
        for cell in row.cells:
            _count(preview.mappings[cell.mapping], cell)
        preview.shown.append(row)
    preview.shown = sorted(preview.shown, key=lambda one: one.line)[:shown]
    for one in preview.mappings:
        if one.is_moment:
            _judge_format(one, plan, columns.get(one.mapping.column, []))
    return preview


def _missing(name: str, head: Head) -> str:
    if name in head.doubles:
        return f"{head.header.count(name)} columns are called '{name}', so a mapping can't tell them apart; rename them in the file"
    return f"there is no column '{name}'; names match exactly, capitals included"


def _row(plan: ImportPlan, line: int, cells: dict[str, str]) -> PreviewedRow:
    """`cells`: by column; those that the file does not have count as blank."""
    linked = plan.link_of_row({**{link.column: "" for link in plan.links}, **cells})
    previewed = tuple(
        PreviewedCell(place, cells[one.column], read_mapped(one, cells[one.column], plan.cells))
        for place, one in enumerate(plan.mappings)
        if one.column in cells
    )
    if isinstance(linked, Reason):
        return PreviewedRow(line, linked, previewed, linked)
    refused = [one.becomes for one in previewed if isinstance(one.becomes, Reason)]
    for binding in plan.bindings:
        if binding.mapping is None and binding.column in cells:
            address = plan.address_of_cell(binding.property, binding.type, cells[binding.column])
            refused += [address] if isinstance(address, Reason) else []
    return PreviewedRow(line, linked[0], previewed, refused[0] if refused and plan.on_bad_cell == "reject_row" else None)


def _count(mapping: PreviewedMapping, cell: PreviewedCell) -> None:
    if cell.becomes is None:
        mapping.blank += 1
    elif isinstance(cell.becomes, Reason):
        mapping.rejected[cell.becomes] += 1
        if len(mapping.refused) < EXAMPLES:
            mapping.refused[cell.text] = cell.becomes
    else:
        mapping.read += 1
        if len(mapping.values) < EXAMPLES:
            mapping.values[cell.text] = cell.becomes


def _judge_format(mapping: PreviewedMapping, plan: ImportPlan, cells: list[str]) -> None:
    kind: MomentType = "date" if mapping.mapping.type == "date" else "datetime"
    mapping.format = goal_format(plan.cells, kind)
    if mapping.rejected:
        separator = plan.cells.multi_value
        parts = (part for text in cells for part in (text.split(separator) if separator else [text]))
        mapping.fits = fitting_formats((part for part in parts if part.strip()), kind, plan.cells)
