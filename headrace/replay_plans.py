"""The plans by which rejects are replayed: the original import's, restricted to what was rejected (SPEC B2; docs/adr/0018)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from headrace.address import PROFILE_IDENTIFIER
from headrace.cells import BLANKS
from headrace.consent import CONSENTS
from headrace.errors import TerminalError
from headrace.import_plan import ImportPlan, PlannedBlank
from headrace.reject_ids import link_of, mapping_of
from headrace.schema import DomainSchema


def present_plan(plan: ImportPlan, schema: DomainSchema, objectives: Iterable[str]) -> ImportPlan:
    """The plan of a past import under the domain's present schema, judged by the connection's present objectives.

    Raises TerminalError where a property that it writes is not the same any more.
    """
    gone = [one.property for one in plan.mappings if schema.properties[one.property_id].retired]
    if gone:
        raise TerminalError(
            f"Domain {plan.domain} has changed its property '{gone[0]}' since these rows were rejected, so they can't be replayed as they were meant.",
            code="SCHEMA_CHANGED",
            hint="Import the corrected rows as a file of their own.",
        )
    consents = schema.find(CONSENTS)
    present = {"objectives": tuple(objectives), "consents_id": None if consents is None else consents.id}
    return _changed(plan, {"schema_version": schema.version, "width": len(schema.properties), **present})


def rows_plan(plan: ImportPlan, separator: str) -> ImportPlan:
    """For rejected rows: all of it, read from UTF-8."""
    return _changed(plan, {"file_format": _read_from(plan, separator)})


@dataclass(frozen=True, slots=True)
class CellColumns:
    """Of a source of rejected cells: the column of profiles' addresses, and one for each kind of cell. `blank`: what a blank cell does."""

    address: str
    columns: dict[str, str]
    blank: PlannedBlank


def cells_plan(plan: ImportPlan, separator: str, source: CellColumns) -> ImportPlan:
    """For rejected cells. Each kind has a column to itself, which is blank in the rows of others.

    Rows are linked by the address of the profile that the original row was for: what is in the row's link cells by now does not matter, nor is any of
    them claimed again. The row's other cells were applied before; so was its right to make a profile.
    """
    mappings, links = list[dict[str, Any]](), [{"column": source.address, "property": PROFILE_IDENTIFIER}]
    for cell, column in source.columns.items():
        mapping = mapping_of(cell, plan)
        if mapping is None:
            links.append(link_of(cell, plan).model_dump() | {"column": column})
        else:
            mappings.append(mapping.model_dump() | {"column": column, "blank": source.blank})
    changes = {"links": links, "mappings": mappings, "allow_creation": False, "on_bad_cell": "reject_cell"}
    return _changed(plan, {"file_format": _read_from(plan, separator), **changes})


def clears(cell: str, text: str, plan: ImportPlan) -> bool:
    """Whether a corrected cell takes a value away (SPEC M4)."""
    mapping = mapping_of(cell, plan)
    return mapping is not None and mapping.blank == "clear" and not text.strip(BLANKS)


def column_of(cell: str, plan: ImportPlan) -> str:
    mapping = mapping_of(cell, plan)
    return link_of(cell, plan).column if mapping is None else mapping.column


def needed_columns(plan: ImportPlan) -> tuple[str, ...]:
    """The original file's columns that rows and cells are read from."""
    return tuple(dict.fromkeys((*(link.column for link in plan.links), *plan.columns)))


def _read_from(plan: ImportPlan, separator: str) -> dict[str, Any]:
    return plan.file_format.model_dump() | {"separator": separator, "encoding": "utf-8"}


def _changed(plan: ImportPlan, changes: dict[str, Any]) -> ImportPlan:
    return ImportPlan.model_validate(plan.model_dump() | changes)
