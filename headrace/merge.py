"""The four rules and the import of rows into profiles, one row after the other: the oracle.

This is what an import means (SPEC M1–M7, M10–M12, P1, R3, R4). The workers do the same in columns, in parallel; tests hold them to this.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal
from enum import Enum

from headrace.cells import NUMBER_LIMIT, CellFormat, canonical_number, read_cell, read_identifier, read_list
from headrace.consent import CONSENTS, has_consented
from headrace.import_plan import ImportPlan, PlannedMapping
from headrace.outcomes import Outcome, Outcomes, Reason

Value = str | tuple[str, ...]
Profile = dict[str, Value]

_EXACT = Context(prec=80)


def set_value(_old: Value | None, new: Value) -> Value:
    """SPEC M4."""
    return new


def set_if_empty(old: Value | None, new: Value) -> Value:
    """SPEC M5."""
    return new if old is None else old


def add_values(old: Value | None, new: Value) -> Value:
    """SPEC M6: a list of unique values in first-seen order."""
    return tuple(dict.fromkeys((*(old or ()), *new)))


def sum_values(old: Value | None, new: Value) -> Value | Reason:
    """SPEC M7: exact; an empty property counts as 0; out of range rejects the cell."""
    if isinstance(old, tuple) or isinstance(new, tuple):
        raise TypeError("sum is for properties that hold one number")
    total = _EXACT.add(Decimal(old or 0), Decimal(new))
    return Reason.SUM_OVERFLOW if abs(total) >= NUMBER_LIMIT else canonical_number(total)


def apply_rule(rule: str, old: Value | None, new: Value) -> Value | Reason:
    match rule:
        case "set":
            return set_value(old, new)
        case "set_if_empty":
            return set_if_empty(old, new)
        case "add":
            return add_values(old, new)
        case "sum":
            return sum_values(old, new)
        case _:
            raise ValueError(f"no such rule: {rule}")


@dataclass
class Addresses:
    """What stands at addresses where no profile lives: pointers (address → profile identifier) and suppressions (erased for good)."""

    pointers: dict[bytes, bytes] = field(default_factory=dict)
    suppressed: set[bytes] = field(default_factory=set)

    def bound_to(self, profile: bytes) -> set[bytes]:
        """Every address of a profile, its own included."""
        return {profile, *(address for address, holder in self.pointers.items() if holder == profile)}


@dataclass
class OracleResult:
    """What importing rows gave: `outcomes` counts rows, `rejects` lists (row index, column or None, reason).

    `imported`: the profiles that count as imported (SPEC R3): those of rows that were neither skipped nor rejected.
    """

    counts: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    rejects: list[tuple[int, str | None, Reason]] = field(default_factory=list)
    imported: set[bytes] = field(default_factory=set)

    @property
    def outcomes(self) -> Outcomes:
        cells = sum(1 for _, column, _ in self.rejects if column is not None)
        return Outcomes(**{outcome.value: count for outcome, count in self.counts.items()}, cells=cells)


def import_rows(
    profiles: dict[bytes, Profile],
    rows: Iterable[Mapping[str, str]],
    plan: ImportPlan,
    addresses: Addresses | None = None,
    owners: Mapping[bytes, bytes] | None = None,
) -> OracleResult:
    """Import rows (column name → cell) into `profiles` (profile identifier → profile) and `addresses`, in place, in order.

    Two profiles that contend for an identifier within a file: either may get it. Without `owners` the first row's does. `owners`, read from a store
    that imported the same rows, says who did: address → profile identifier, or the address itself where a profile lives. Then an address that is
    empty here goes to the profile named there, and rows linked by it wait until that is so: the order in which they must have taken effect. So all
    is determined but the order of rows of different link values that reach one profile. Raises ValueError where rows wait for ever: `owners` say
    that a profile was given an address, and none asks for it. (Without allow_creation, or consent, such rows may have been skipped, too: nothing tells.)
    """
    return _Import(profiles, plan, addresses or Addresses(), owners or {}).run(rows)


class _Import:
    def __init__(self, profiles: dict[bytes, Profile], plan: ImportPlan, addresses: Addresses, owners: Mapping[bytes, bytes]) -> None:
        self._profiles = profiles
        self._plan = plan
        self._addresses = addresses
        self._owners = owners
        self._waiting: dict[bytes, list[_LinkedRow]] = {}
        self._released: deque[_LinkedRow] = deque()

    def run(self, rows: Iterable[Mapping[str, str]]) -> OracleResult:
        result = OracleResult()
        for index, cells in enumerate(rows):
            used = self._plan.link_of_row(cells)
            if isinstance(used, Reason):
                result.counts[Outcome.REJECTED] += 1
                result.rejects.append((index, None, used))
                continue
            row = _LinkedRow(index, cells, *used)
            if self._must_wait(row.address):
                self._waiting.setdefault(row.address, []).append(row)
                continue
            self._released.append(row)
            while self._released:
                now = self._released.popleft()
                outcome, rejects = self._import_row(now)
                result.counts[outcome] += 1
                result.rejects.extend((now.index, column, reason) for column, reason in rejects)
                if outcome in IMPORTED:
                    result.imported.add(self._holder(now.address) or now.address)
        if self._waiting:
            raise ValueError(
                f"rows {[row.index for rows in self._waiting.values() for row in rows]} wait for addresses that no profile asks for"
            )
        result.rejects.sort(key=lambda one: one[0])
        return result

    def _must_wait(self, address: bytes) -> bool:
        return self._owners.get(address, address) != address and self._holder(address) is None and address not in self._addresses.suppressed

    def _holder(self, address: bytes) -> bytes | None:
        """The profile that an address is bound to."""
        return address if address in self._profiles else self._addresses.pointers.get(address)

    def _import_row(self, row: _LinkedRow) -> tuple[Outcome, list[_CellReject]]:
        """One row: its outcome, and the cells that are rejected."""
        plan = self._plan
        if row.address in self._addresses.suppressed:
            return (
                Outcome.SKIPPED,
                [],
            )  # whatever else it says: of who was erased for good no cell is looked at, and no row gets into a rejects file
        # First every cell is read, then the row is judged, then the values are merged: what is wrong with a file does not depend on the store.
        values = [(mapping, read_mapped(mapping, row.cells[mapping.column], plan.cells)) for mapping in plan.mappings]
        profile = self._holder(row.address) or row.address
        before = self._profiles.get(profile)
        withheld = self._withhold(profile, [one for one in values if one[0].property == CONSENTS]) if plan.objectives else None
        if withheld is not None:
            return withheld, []
        claims = [(binding, plan.address_of_cell(binding.property, binding.type, row.cells[binding.column])) for binding in plan.bindings]
        rejects: list[_CellReject] = [(mapping.column, value) for mapping, value in values if isinstance(value, Reason)]
        rejects += [(binding.column, address) for binding, address in claims if isinstance(address, Reason) and binding.mapping is None]
        if rejects and plan.on_bad_cell == "reject_row":
            return Outcome.REJECTED, rejects
        if before is None and not plan.allow_creation:
            return Outcome.SKIPPED, rejects
        after: Profile = dict(before or {})
        overflows = _merge_values(after, [(mapping, value) for mapping, value in values if not mapping.identifier])
        rejects += overflows
        if overflows and plan.on_bad_cell == "reject_row":
            return Outcome.REJECTED, rejects
        self._profiles[profile] = after
        newly_bound = False
        for binding, address in claims:
            if isinstance(address, bytes) and binding.link != row.link:
                decision = self._claim(address, profile)
                if decision is Claim.DENIED:
                    rejects.append((binding.column, Reason.IDENTIFIER_CONFLICT))
                    continue
                newly_bound |= decision is Claim.GRANTED
            if binding.mapping is not None:
                _merge_values(after, [values[binding.mapping]])
        if before is None:
            return Outcome.CREATED, rejects
        return (Outcome.UPDATED if newly_bound or after != before else Outcome.UNCHANGED), rejects

    def _withhold(self, profile: bytes, consents: _Read) -> Outcome | None:
        """What a row ends as whose profile, with the row's own consents, has not consented (SPEC P1); None: it has.

        Nothing of such a row is looked at but its consents, which a profile that is there takes in: a withdrawal must not leave the old ones standing.
        """
        before = self._profiles.get(profile)
        after = dict(before or {})
        _merge_values(after, consents)
        if has_consented(after.get(CONSENTS, ()), self._plan.objectives):
            return None
        if before is None or after == before:
            return Outcome.SKIPPED
        self._profiles[profile] = after
        return Outcome.UPDATED

    def _claim(self, address: bytes, profile: bytes) -> Claim:
        """Bind an address to a profile, if it is nobody else's (SPEC M1, M10)."""
        holder = self._holder(address)
        if address in self._addresses.suppressed or (holder or self._owners.get(address, profile)) != profile:
            return Claim.DENIED
        if holder is not None:
            return Claim.BOUND_BEFORE
        self._addresses.pointers[address] = profile
        self._released.extend(self._waiting.pop(address, ()))
        return Claim.GRANTED


IMPORTED = (Outcome.CREATED, Outcome.UPDATED, Outcome.UNCHANGED)


class Claim(Enum):
    GRANTED = "granted"
    BOUND_BEFORE = "bound before"
    DENIED = "denied"


_CellReject = tuple[str | None, Reason]
_Read = list[tuple[PlannedMapping, Value | Reason | None]]


@dataclass(frozen=True, slots=True)
class _LinkedRow:
    """`link`: the place of the link that it uses, whose value has `address`."""

    index: int
    cells: Mapping[str, str]
    link: int
    address: bytes


def _merge_values(profile: Profile, values: Iterable[tuple[PlannedMapping, Value | Reason | None]]) -> list[_CellReject]:
    """By their mappings' rules, in place; cells that can't be read have no effect. The cells whose sums are out of range."""
    overflows: list[_CellReject] = []
    for mapping, value in values:
        if isinstance(value, Reason):
            continue
        if value is None:
            if mapping.blank == "clear":
                profile.pop(mapping.property, None)
            continue
        merged = apply_rule(mapping.rule, profile.get(mapping.property), value)
        if isinstance(merged, Reason):
            overflows.append((mapping.column, merged))
        else:
            profile[mapping.property] = merged
    return overflows


def read_mapped(mapping: PlannedMapping, text: str, cells: CellFormat) -> Value | Reason | None:
    """The value that a mapped cell becomes."""
    value: Value | Reason | None
    if mapping.identifier:
        value = read_identifier(mapping.type, text, cells)
    elif mapping.multiple:
        value = read_list(mapping.type, text, cells)
    else:
        value = read_cell(mapping.type, text, cells)
    if mapping.longest is None or value is None or isinstance(value, Reason):
        return value
    return Reason.TOO_LONG if max(map(len, (value,) if isinstance(value, str) else value)) > mapping.longest else value
