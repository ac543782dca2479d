"""One profile's identifiers while rows, or answers to its claims, are folded into it: which are bound, which claimed (SPEC M1, M10)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from headrace.address import PROFILE_IDENTIFIER, addresses_of
from headrace.import_plan import ImportPlan
from profile_store.records import packed_addresses
from streaming.merge.undecided import BOUND, CLAIMED, CLEAR, DENIED, Cell, Undecided, decode, rule_of


def identifier_addresses(plan: ImportPlan, property_name: str, values: Iterable[str]) -> list[bytes]:
    """Of an identifier's values, in order; a profile identifier is its own address."""
    if property_name == PROFILE_IDENTIFIER:
        return [bytes.fromhex(value) for value in values]
    return addresses_of(plan.key, property_name, values)


def identifier_address(plan: ImportPlan, property_name: str, value: str) -> bytes:
    return identifier_addresses(plan, property_name, (value,))[0]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a cell did. `changes`: a value, or what is bound; `claim`: it is to be claimed; `denied`: the identifier is known to be another's."""

    changes: bool = False
    claim: bool = False
    denied: bool = False
    noted: Cell | None = None


NO_EFFECT = Effect()


class Identifiers:
    """`own`: the profile identifier; `present`: property id → value, of the plan's identifier properties; `addresses`, `undecided`: of the record."""

    def __init__(
        self, plan: ImportPlan, own: bytes, present: dict[int, str | None], addresses: Iterable[bytes], undecided: str | None
    ) -> None:
        self._plan = plan
        self._own = own
        self.present = present
        self._notes = Undecided(plan.bindings, partial(identifier_address, plan))
        if undecided is not None:
            decode(undecided, self._notes, present)
        self._bound = {own, *addresses, *self._addresses_of_present()}

    def _addresses_of_present(self) -> set[bytes]:
        values = {(one.property, self.present.get(one.property_id)) for one in self._plan.bindings if one.property_id is not None}
        return {identifier_address(self._plan, name, value) for name, value in values if value is not None}

    def put(self, place: int, value: str, line: int, used: int | None) -> Effect:
        """A cell with a value, of the row at `line`, which used link `used`."""
        binding = self._plan.bindings[place]
        by_link = binding.link is not None and binding.link == used
        before = None if binding.property_id is None else self.present.get(binding.property_id)
        address = identifier_address(self._plan, binding.property, value)
        known = self._notes.state_of(address)
        if value == before:
            return Effect(claim=known == CLAIMED and not by_link)
        if by_link:
            return (
                NO_EFFECT if binding.property_id is None else self._note(place, Cell(BOUND, rule_of(binding), place, line, value), before)
            )
        if known == DENIED:
            return Effect(denied=True)
        if known is None:
            if address in self._bound:
                return self._note(place, Cell(BOUND, rule_of(binding), place, line, value), before)
            self._bound.add(address)
        return self._note(place, Cell(CLAIMED, rule_of(binding), place, line, value), before, newly_bound=known is None)

    def clear(self, place: int, line: int) -> Effect:
        """A blank cell that clears the value; what is bound stays bound."""
        binding = self._plan.bindings[place]
        before = None if binding.property_id is None else self.present.get(binding.property_id)
        if binding.property_id is None or (before is None and not self._notes.touches(binding.property_id)):
            return NO_EFFECT
        return self._note(place, Cell(BOUND, CLEAR, place, line, None), before)

    def _note(self, place: int, cell: Cell, before: str | None, *, newly_bound: bool = False) -> Effect:
        binding = self._plan.bindings[place]
        identity = binding.property_id
        if cell.state == BOUND and identity is None:
            return NO_EFFECT
        fresh = identity is not None and not self._notes.touches(identity)
        if cell.state == BOUND and fresh and identity is not None:
            after = before if cell.rule == "e" and before is not None else cell.value
            self.present[identity] = after
            return Effect(changes=after != before)
        if fresh and identity is not None and before is not None:
            self._notes.bases[identity] = before
        self._notes.cells.append(cell)
        if identity is not None:
            self.present[identity] = self._notes.folded(identity)
        changes = newly_bound or (identity is not None and self.present[identity] != before)
        return Effect(changes=changes, claim=cell.state == CLAIMED, noted=cell)

    def deny(self, address: bytes) -> int:
        """A claim was denied: how many rows that counted as updated are unchanged after all (negative: the other way round)."""
        before = self._notes.changing_rows()
        if not self._notes.deny(address):
            return 0  # an earlier answer said so too
        self._bound.discard(address)
        for one in self._plan.bindings:
            if one.property_id is not None and self._notes.touches(one.property_id):
                self.present[one.property_id] = self._notes.folded(one.property_id)
        return len(before) - len(self._notes.changing_rows())

    def others(self) -> set[bytes]:
        """Every address but the profile identifier."""
        return self._bound - {self._own}

    def addresses(self) -> str | None:
        """The record's field of other addresses."""
        others = self.others() - self._addresses_of_present()
        return packed_addresses(others) if others else None

    def undecided(self, import_seq: int) -> str | None:
        """The record's field of undecided cells."""
        return self._notes.encode(import_seq, self.present) if self._notes.cells else None
