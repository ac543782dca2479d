"""The identifier cells of one profile that an import has not decided yet (DESIGN §2, Claims; docs/adr/0012).

A record shows a claimed value at once, as if it were granted, and notes in its field `undecided` how it came to it: the value before the import's first
undecided cell, and the cells since, in order. A grant then changes nothing in the record. A denial takes the cell out of the notes and folds again,
so that it never eats a value that came before or after it. When the import is over, whatever was not denied is granted: the notes are stale.

The field, in items joined by RS:

    import_seq RS =property id:value before … RS state rule doubt binding:line[=value] …

- state: `u` claimed, `g` bound before, `d` denied. rule: `s` set, `e` set_if_empty, `c` clear, `n` bound and never stored.
- doubt: `o` where the row's outcome hangs on its undecided cells alone, else `-`.
- A value that is the property's present one is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from headrace.import_plan import Binding
from profile_store.records import ITEM

CLAIMED, BOUND, DENIED = "u", "g", "d"
SET, SET_IF_EMPTY, CLEAR, NEVER_STORED = "s", "e", "c", "n"
IN_DOUBT, CERTAIN = "o", "-"
_CELL = re.compile(r"([ugd])([secn])([o-])(\d+):(\d+)(?:=(.*))?", re.DOTALL)
_BASE = re.compile(r"=(\d+):(.*)", re.DOTALL)


def rule_of(binding: Binding) -> str:
    if binding.property_id is None:
        return NEVER_STORED
    return SET if binding.rule == "set" else SET_IF_EMPTY


@dataclass(slots=True)
class Cell:
    """`value` None: the cell clears. `line` names the row."""

    state: str
    rule: str
    binding: int
    line: int
    value: str | None
    in_doubt: bool = False


@dataclass(slots=True)
class Undecided:
    """`address_of`: (property, value) → the address it names; `bases`: property id → the value before the first cell (absent: none)."""

    bindings: tuple[Binding, ...]
    address_of: Callable[[str, str], bytes]
    bases: dict[int, str] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    _addresses: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def touches(self, property_id: int) -> bool:
        """Whether there are cells that store a value of the property, or clear it; those that only bind do not."""
        return any(self.bindings[cell.binding].property_id == property_id for cell in self.cells)

    def state_of(self, address: bytes) -> str | None:
        """How an address was last decided in this import; None where no cell says so."""
        states = {cell.state for cell in self.cells if self._address(cell) == address}
        return DENIED if DENIED in states else CLAIMED if CLAIMED in states else None

    def deny(self, address: bytes) -> bool:
        """Whatever claimed the address, in a cell of a property or in one of profile identifiers, is denied; whether anything did."""
        claimed = [cell for cell in self.cells if cell.state == CLAIMED and self._address(cell) == address]
        for cell in claimed:
            cell.state = DENIED
        return bool(claimed)

    def _address(self, cell: Cell) -> bytes | None:
        if cell.value is None:
            return None
        named = self.bindings[cell.binding].property, cell.value
        if named not in self._addresses:
            self._addresses[named] = self.address_of(*named)
        return self._addresses[named]

    def folded(self, property_id: int) -> str | None:
        """The property's value, with everything that is not denied granted."""
        value = self.bases.get(property_id)
        for cell in self.cells:
            if self.bindings[cell.binding].property_id == property_id:
                value = _after(cell, value)
        return value

    def changing_rows(self) -> set[int]:
        """The lines in doubt whose cells change a value or bind an identifier, with everything that is not denied granted."""
        found: set[int] = set()
        present: dict[int | None, str | None] = dict(self.bases.items())
        bound: set[bytes | None] = set()
        for cell in self.cells:
            binding = self.bindings[cell.binding]
            after = _after(cell, present.get(binding.property_id))
            changes = binding.property_id is not None and after != present.get(binding.property_id)
            if cell.state == CLAIMED and self._address(cell) not in bound:
                bound.add(self._address(cell))
                changes = True
            present[binding.property_id] = after
            if changes and cell.in_doubt:
                found.add(cell.line)
        return found

    def encode(self, import_seq: int, present: dict[int, str | None]) -> str:
        """`present`: property id → value, of all identifier properties."""
        items = [str(import_seq), *(f"={identity}:{value}" for identity, value in self.bases.items())]
        for cell in self.cells:
            identity = self.bindings[cell.binding].property_id
            said = "" if cell.value is None or (identity is not None and present.get(identity) == cell.value) else f"={cell.value}"
            items.append(f"{cell.state}{cell.rule}{IN_DOUBT if cell.in_doubt else CERTAIN}{cell.binding}:{cell.line}{said}")
        return ITEM.join(items)


def _after(cell: Cell, value: str | None) -> str | None:
    if cell.state == DENIED or cell.rule == NEVER_STORED:
        return value
    if cell.rule == SET_IF_EMPTY:
        return cell.value if value is None else value
    return cell.value


def current_prefix(import_seq: int) -> str:
    """What the field of a record begins with where it holds notes of this import; others are stale."""
    return f"{import_seq}{ITEM}"


def decode(text: str, into: Undecided, present: dict[int, str | None]) -> None:
    """What a record notes. `present`: property id → the record's value, of all identifier properties."""
    for item in text.split(ITEM)[1:]:
        base = _BASE.fullmatch(item)
        if base:
            into.bases[int(base[1])] = base[2]
            continue
        parts = _CELL.fullmatch(item)
        if parts is None:
            raise ValueError("notes of undecided cells that no release wrote")
        state, rule, doubt, binding, line, value = parts.groups()
        identity = into.bindings[int(binding)].property_id
        if value is None and rule != CLEAR and identity is not None:
            value = present.get(identity)
        into.cells.append(Cell(state, rule, int(binding), int(line), value, doubt == IN_DOUBT))
