"""Whether a line of a file of rejects names a person who is erased (SPEC P2): by the identifiers that its import knows.

A row with columns names a person by the cells of links and of mapped identifiers, read as the import read them. Of text that could not be cut into
columns, any part that would be one of these identifiers counts: rather a reject too many is lost than a person stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from headrace.import_plan import ImportPlan


@dataclass(frozen=True, slots=True)
class _Identifier:
    column: str
    property: str
    type: str


class NamedPersons:
    """`addresses`: the person's. `header`: the columns of the file."""

    def __init__(self, plan: ImportPlan, addresses: frozenset[bytes], header: list[str]) -> None:
        self._plan = plan
        self._addresses = addresses
        linked = [_Identifier(one.column, one.property, one.type) for one in plan.links]
        mapped = [_Identifier(one.column, one.property, one.type) for one in plan.mappings if one.identifier]
        self._identifiers = tuple(dict.fromkeys([*linked, *mapped]))
        self._places = [(header.index(one.column), one) for one in self._identifiers if one.column in header]
        self._ends = re.compile(f'[{re.escape(plan.file_format.separator)}\r\n"]')

    def in_row(self, cells: list[str]) -> bool:
        return any(self._is_of(one, cells[place]) for place, one in self._places if place < len(cells))

    def in_any(self, cells: Iterable[str]) -> bool:
        """Whatever column they stand in."""
        return any(self._is_of(one, cell) for cell in cells for one in self._identifiers)

    def in_text(self, text: str) -> bool:
        return self.in_any(part for part in self._ends.split(text) if part)

    def is_address(self, detail: str) -> bool:
        """Whether `RejectId.detail` is an address of the person."""
        return len(detail) == 32 and bytes.fromhex(detail) in self._addresses

    def _is_of(self, identifier: _Identifier, cell: str) -> bool:
        return self._plan.address_of_cell(identifier.property, identifier.type, cell) in self._addresses
