"""Random imports in which profiles contend for identifiers, drawn so that the oracle says exactly what must come out.

Either of two contenders may get an identifier; a test reads from the store who did and tells the oracle (`owners_among`, `import_rows`). What is then still
open is the order in which rows of different link values reach one profile. So imports are drawn in two styles, and a test of its own
(tests/unit/test_contention.py) holds them to it:

- Without forwards, every row has a value for its first link. Then a profile's rows all have one link value, and take effect in file order: any rule,
  any cell. Who gets an identifier is all that is open.
- With forwards there are also side rows, that only have another link's value and so may reach a profile that has rows of its own. Their effect does not
  depend on when they come: a sum that is never zero, so that they update; no other cell, no other identifier; and no mapping clears where a cell is blank.
  The side row's link value would itself be stored by `set`, or where there is none. So such a property is mapped from another column, or by set_if_empty
  in all imports, or each first-link value goes with one value of it in all imports.
- Where rows may not create, or not without consent, a side row's value is one that is bound before: else it is skipped or forwarded, by chance.
- With forwards every row of all imports gives the same consent, so that it does not matter who comes first; an import's objectives are that one, or another.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

from hypothesis import strategies as st

from headrace.address import PROFILE_IDENTIFIER
from headrace.import_plan import ImportPlan
from headrace.merge import Addresses, Profile
from tests.files import CELLS, OF_A_CONNECTION

IDENTIFIERS = {"customer_id": "text", "email": "email", "phone": "number"}
VALUES = {"name": "text", "points": "number", "tags": "text", "day": "date", "consents": "text"}
PROPERTIES = (*IDENTIFIERS, *VALUES)
"""By property id."""
COLUMNS = (*IDENTIFIERS, PROFILE_IDENTIFIER, *(f"new_{name}" for name in IDENTIFIERS), *VALUES)
CUSTOMERS, CONTENDED = range(1, 7), range(11, 15)
SMALL_SUMS = st.sampled_from(["0.1", "1", "-3.25", "x", ""])
SIDE_SUMS = st.sampled_from(["0.001", "2", "7.5"])
EVERYBODYS = "newsletter"
"""The consent that all rows give where some are forwarded."""
Row = dict[str, str]
Style = Literal["one each", "first stays", "from another column", "any"]


@dataclass(frozen=True)
class Contention:
    """What the imports of one example have in common. `styles`: of the links behind the first; `one_each`: of "one each", customer → value's number."""

    prefix: int
    links: tuple[str, ...]
    forwards: bool
    styles: Mapping[str, Style]
    one_each: Mapping[str, tuple[int, ...]]

    def value(self, name: str, number: int) -> str:
        """The `number`-th value of an identifier, as it is stored; of this example alone."""
        match name:
            case "customer_id":
                return f"{self.prefix}-É{number}"
            case "email":
                return f"n{number}@x{self.prefix}.example.com"
            case "phone":
                return f"{self.prefix}{number:03d}.5"
            case _:
                return blake2b(f"{self.prefix} {number}".encode(), digest_size=16).hexdigest()

    def written(self, name: str, number: int) -> st.SearchStrategy[str]:
        """Its spellings."""
        value = self.value(name, number)
        odd = {
            "customer_id": f" {unicodedata.normalize('NFD', value)}",
            "email": value.upper(),
            "phone": f"+{value}00 ",
            PROFILE_IDENTIFIER: f"{value.upper()}\t",
        }
        return st.sampled_from([value, value, value, odd[name]])

    def cell_of_another(self, name: str, customer: int) -> st.SearchStrategy[str]:
        """A cell of an identifier that is not the row's first link: contended, blank, or none at all."""
        styled = self.styles.get(name) == "one each"
        numbers = [self.one_each[name][customer - 1]] if styled else [*CONTENDED]
        return st.one_of(
            *(self.written(name, number) for number in numbers), st.sampled_from(["", " ", "a|b" if name != PROFILE_IDENTIFIER else "ab"])
        )


@st.composite
def contentions(draw: st.DrawFn, prefix: int = 1) -> Contention:
    names = draw(st.permutations([*IDENTIFIERS, PROFILE_IDENTIFIER]))
    links = tuple(names[: draw(st.integers(1, 3))])
    forwards = len(links) > 1 and draw(st.booleans())
    styles: dict[str, Style] = {}
    one_each: dict[str, tuple[int, ...]] = {}
    for name in links[1:]:
        tame: tuple[Style, ...] = ("one each", "first stays", "from another column")
        styles[name] = draw(st.sampled_from(tame)) if forwards and name in IDENTIFIERS else "any"
        one_each[name] = tuple(draw(st.lists(st.sampled_from(CONTENDED), min_size=len(CUSTOMERS), max_size=len(CUSTOMERS))))
    return Contention(prefix, links, forwards, styles, one_each)


@st.composite
def plans(draw: st.DrawFn, contention: Contention, domain: str = "test", partitions: int = 4, key: str = "07" * 32) -> ImportPlan:
    """One import's plan: links as the contention has them, all else random."""
    clear = st.just("ignore") if contention.forwards else st.sampled_from(["ignore", "clear"])
    rules = st.sampled_from(["set", "set_if_empty"])

    def mapped(name: str, rule: str, column: str, **shape: Any) -> dict[str, Any]:
        blank = draw(clear) if rule == "set" and name != contention.links[0] else "ignore"
        return {"column": column, "property": name, "property_id": PROPERTIES.index(name), "rule": rule, "blank": blank, **shape}

    mappings = []
    for name, kind in IDENTIFIERS.items():
        style = contention.styles.get(name)
        if name not in contention.links and draw(st.booleans()):
            continue
        moves = style == "from another column" or (style == "any" and draw(st.booleans()))
        rule = "set_if_empty" if style == "first stays" else draw(rules)
        mappings.append(mapped(name, rule, f"new_{name}" if moves else name, type=kind, identifier=True))
    mappings.append(mapped("points", "sum" if contention.forwards else draw(st.sampled_from(["sum", "set"])), "points", type="number"))
    if draw(st.booleans()):
        mappings.append(mapped("name", draw(rules), "name"))
        mappings.append(mapped("day", draw(rules), "day", type="date"))
        mappings.append(mapped("tags", draw(st.sampled_from(["set", "add"])), "tags", multiple=True))
    objectives = draw(OF_A_CONNECTION)
    if contention.forwards or draw(st.sampled_from([True, bool(objectives)])):
        mappings.append(mapped("consents", draw(st.sampled_from(["set", "add", "set_if_empty"])), "consents", multiple=True))
    return ImportPlan.model_validate(
        {
            "domain": domain,
            "partitions": partitions,
            "address_key": key,
            "schema_version": 1,
            "width": len(PROPERTIES),
            "file_format": {"multi_value": "|"},
            "links": [{"column": name, "property": name, "type": IDENTIFIERS.get(name, "text")} for name in contention.links],
            "mappings": mappings,
            "allow_creation": draw(st.sampled_from([True, True, True, False])),
            "on_bad_cell": draw(st.sampled_from(["reject_cell", "reject_cell", "reject_row"])),
            "objectives": objectives,
            "consents_id": PROPERTIES.index("consents") if objectives else None,
        }
    )


def tables(
    contention: Contention, plan: ImportPlan, profiles: Iterable[bytes], addresses: Addresses, max_rows: int = 40
) -> st.SearchStrategy[list[Row]]:
    """Rows for a plan. `profiles`, `addresses`: what the domain holds before: bound values are claimed, and used by side rows, too."""
    theirs = sorted(profiles)[:3]
    bound = {*profiles, *addresses.pointers}
    creates = plan.allow_creation and (not plan.objectives or EVERYBODYS in plan.objectives)
    side_rows = [
        _side_rows(contention, name, number)
        for name in contention.links[1:]
        for number in CONTENDED
        if contention.forwards and (creates or address_of(plan, name, contention.value(name, number)) in bound)
    ]
    main_rows = [_main_rows(contention, plan, customer, theirs) for customer in CUSTOMERS]
    row = st.one_of(*main_rows, *main_rows, *side_rows)
    return st.integers(0, max_rows).flatmap(lambda size: st.lists(row, min_size=size, max_size=size))


def _main_rows(contention: Contention, plan: ImportPlan, customer: int, theirs: list[bytes]) -> st.SearchStrategy[Row]:
    """Rows with a customer's first link: any cells."""
    first = contention.links[0]
    cells = {name: contention.cell_of_another(name, customer) for name in (*IDENTIFIERS, PROFILE_IDENTIFIER)}
    cells |= {f"new_{name}": contention.cell_of_another(name, customer) for name in IDENTIFIERS}
    cells |= {name: SMALL_SUMS if name == "points" and contention.forwards else CELLS[name] for name in VALUES}
    if contention.forwards:
        cells["consents"] = st.just(EVERYBODYS)
    if first in IDENTIFIERS:
        known = [address_of(plan, first, contention.value(first, customer)), *theirs]
        cells[PROFILE_IDENTIFIER] |= st.sampled_from([one.hex() for one in known])
    cells[first] = contention.written(first, customer)
    return st.fixed_dictionaries(cells)


def _side_rows(contention: Contention, name: str, number: int) -> st.SearchStrategy[Row]:
    """Rows with one identifier, which is not their first link, and a sum."""
    nothing = {column: st.just("") for column in COLUMNS}
    return st.fixed_dictionaries({**nothing, name: contention.written(name, number), "points": SIDE_SUMS, "consents": st.just(EVERYBODYS)})


def address_of(plan: ImportPlan, name: str, value: str) -> bytes:
    found = plan.address_of_cell(name, IDENTIFIERS.get(name, "text"), value)
    assert isinstance(found, bytes)
    return found


def addresses_in(rows: Iterable[Row], plan: ImportPlan) -> set[bytes]:
    """Every address that the rows name: as links, or to be bound."""
    cells = {(one.column, one.property, one.type) for one in plan.links} | {(one.column, one.property, one.type) for one in plan.bindings}
    found = (plan.address_of_cell(name, kind, row[column]) for row in rows for column, name, kind in cells)
    return {address for address in found if isinstance(address, bytes)}


def owners_among(profiles: Mapping[bytes, Profile], addresses: Addresses) -> dict[bytes, bytes]:
    """Who has each address, as `import_rows` takes it."""
    return {**dict(zip(profiles, profiles, strict=True)), **addresses.pointers}
