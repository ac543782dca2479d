"""Which lines of a file of rejects name a person who is erased (SPEC P2)."""

from __future__ import annotations

import pytest

from headrace.address import address_of
from headrace.import_plan import ImportPlan, PlannedFormat, PlannedLink, PlannedMapping
from headrace.named_persons import NamedPersons

KEY = bytes(32)
HEADER = ["id", "mail", "note"]


def named(**addresses: str) -> NamedPersons:
    """By property; the file is cut at `;`."""
    plan = ImportPlan(
        domain="shop",
        partitions=1,
        address_key=KEY.hex(),
        schema_version=1,
        width=3,
        file_format=PlannedFormat(separator=";"),
        links=(PlannedLink(column="id", property="customer_id"),),
        mappings=(
            PlannedMapping(column="id", property="customer_id", property_id=0, identifier=True),
            PlannedMapping(column="mail", property="email", property_id=1, type="email", identifier=True),
            PlannedMapping(column="note", property="note", property_id=2),
        ),
    )
    return NamedPersons(plan, frozenset(address_of(KEY, name, value) for name, value in addresses.items()), HEADER)


@pytest.mark.spec("P2")
@pytest.mark.parametrize(
    ("row", "found"),
    [
        (["C1", "", ""], True),
        ([" C1 ", "not an address", "bad"], True),
        (["", "ANA@Example.com", ""], True),
        (["C2", "ben@example.com", ""], False),
        (["", "", "C1"], False),
        (["C2", "C1", "ana@example.com"], False),
        (["c1"], False),
        (["C1"], True),
    ],
)
def test_a_row_names_by_its_identifier_columns_as_the_import_read_them(row: list[str], found: bool) -> None:
    assert named(customer_id="C1", email="ana@example.com").in_row(row) is found


@pytest.mark.spec("P2")
@pytest.mark.parametrize(
    ("text", "found"),
    [("C1;too;many;cells", True), ('x;"ana@example.com', True), ("x\r\nC1;y", True), ("C11;ana@example.org", False), ("", False)],
)
def test_text_that_is_no_row_names_by_any_part_of_it(text: str, found: bool) -> None:
    assert named(customer_id="C1", email="ana@example.com").in_text(text) is found


@pytest.mark.spec("P2")
def test_a_reject_of_a_cell_names_the_profile_that_its_row_is_for() -> None:
    one = named(customer_id="C1")
    assert one.is_address(address_of(KEY, "customer_id", "C1").hex())
    assert not one.is_address(address_of(KEY, "customer_id", "C2").hex())
    assert not one.is_address("00ff")  # the digest of a text is shorter
