"""What a row does to a profile: the statements on matching and mapping in examples, by the oracle and by the merge in columns alike."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest

from headrace.address import PROFILE_IDENTIFIER, address_of
from headrace.import_plan import ImportPlan
from headrace.merge import Profile, Value, import_rows
from headrace.outcomes import Outcomes, Reason
from streaming.merge import columns as columns_module
from tests.files import csv_bytes
from tests.memory_domain import MemoryDomain

KEY = "07" * 32
LARGEST = "9" * 26


def plan(*mappings: dict[str, Any], link: str = "customer_id", link_type: str = "text", **more: Any) -> ImportPlan:
    """Links column `id`; `mappings` by column, property of the same name."""
    linked = {"column": "id", "property": link, "property_id": 0, "type": link_type, "identifier": True, "rule": "set_if_empty"}
    planned = [] if link == PROFILE_IDENTIFIER else [linked]
    planned += [{"property": one["column"], "property_id": place, **one} for place, one in enumerate(mappings, 1)]
    return ImportPlan.model_validate(
        {
            "domain": "test",
            "partitions": 3,
            "address_key": KEY,
            "schema_version": 1,
            "width": len(mappings) + 1,
            "file_format": {"multi_value": "|"},
            "links": [{"column": "id", "property": link, "type": link_type}],
            "mappings": planned,
            "allow_creation": True,
            **more,
        }
    )


class Shop:
    """Imports the same rows by the oracle, in columns, and folded as the columns' merge folds what is left; holds them against each other."""

    def __init__(self) -> None:
        self._oracle: dict[bytes, Profile] = {}
        self._merged = {smallest_round: MemoryDomain(3) for smallest_round in (1, 10**9)}

    def load(self, plan: ImportPlan, *rows: dict[str, str]) -> tuple[Outcomes, list[tuple[int, str | None, Reason]]]:
        """What became of the rows; rejects as (row, column, reason)."""
        expected = import_rows(self._oracle, rows, plan)
        columns = tuple(dict.fromkeys(name for row in rows for name in row))
        for smallest_round, merged in self._merged.items():
            with mock.patch.object(columns_module, "SMALL_ROUND", smallest_round):
                outcomes, rejects = merged.import_file(csv_bytes(list(rows), columns), plan)
            assert outcomes == expected.outcomes
            assert sorted((one.line - 2, one.column or "", one.reason) for one in rejects) == sorted(
                (row, column or "", reason) for row, column, reason in expected.rejects
            )
        assert expected.outcomes.rows == len(rows)
        return expected.outcomes, expected.rejects

    def profiles(self, plan: ImportPlan) -> dict[bytes, Profile]:
        for merged in self._merged.values():
            assert merged.profiles() == self._oracle
        return self._oracle

    def only(self, plan: ImportPlan) -> Profile:
        [profile] = self.profiles(plan).values()
        return profile

    def value(self, plan: ImportPlan, *cells: str, column: str = "x") -> Value | None:
        """What one profile's property holds after rows with these cells."""
        for cell in cells:
            self.load(plan, {"id": "C1", column: cell})
        return self.only(plan).get(column)


@pytest.fixture
def shop() -> Shop:
    return Shop()


def address(value: str, link: str = "customer_id") -> bytes:
    return address_of(bytes.fromhex(KEY), link, value)


@pytest.mark.spec("M2")
def test_without_allow_creation_only_rows_that_match_are_imported(shop: Shop) -> None:
    x = {"column": "x"}
    shop.load(plan(x), {"id": "C1", "x": "old"})
    outcomes, _ = shop.load(plan(x, allow_creation=False), {"id": "C1", "x": "new"}, {"id": "C2", "x": "new"}, {"id": "c1", "x": "new"})
    assert outcomes == Outcomes(updated=1, skipped=2)
    assert shop.profiles(plan(x)) == {address("C1"): {"customer_id": "C1", "x": "new"}}


@pytest.mark.spec("M2")
def test_with_allow_creation_a_new_profile_stores_its_link_value(shop: Shop) -> None:
    outcomes, _ = shop.load(plan({"column": "x"}), {"id": " Cafe\u0301 ", "x": ""})
    assert outcomes == Outcomes(created=1)
    assert shop.profiles(plan({"column": "x"})) == {address("Café"): {"customer_id": "Café"}}


@pytest.mark.spec("M2")
def test_matching_is_exact_after_nfc_and_trimming_and_e_mail_is_lowercased(shop: Shop) -> None:
    total = plan({"column": "x", "type": "number", "rule": "sum"})
    shop.load(total, *({"id": one, "x": "1"} for one in ("é", "e\u0301", " é\xa0", "É", "e")))
    assert {str(one["customer_id"]): one["x"] for one in shop.profiles(total).values()} == {"é": "3", "É": "1", "e": "1"}
    mail = plan({"column": "x", "type": "number", "rule": "sum"}, link="email", link_type="email")
    other = Shop()
    other.load(mail, *({"id": one, "x": "1"} for one in ("Ana@Example.com", "ana@example.COM ", "ANA@EXAMPLE.COM")))
    assert other.profiles(mail) == {address("ana@example.com", "email"): {"email": "ana@example.com", "x": "3"}}


@pytest.mark.spec("M2", "M1")
def test_linked_by_profile_identifier_the_given_identifier_is_kept(shop: Shop) -> None:
    given = "00112233445566778899AABBCCDDEEFF"
    by_identifier = plan({"column": "x"}, link=PROFILE_IDENTIFIER)
    outcomes, _ = shop.load(by_identifier, {"id": given, "x": "a"}, {"id": given.lower(), "x": "b"})
    assert outcomes == Outcomes(created=1, updated=1)
    assert shop.profiles(by_identifier) == {bytes.fromhex(given): {"x": "b"}}
    outcomes, _ = shop.load(by_identifier.model_copy(update={"allow_creation": False}), {"id": "1" * 32, "x": "a"}, {"id": given, "x": "c"})
    assert outcomes == Outcomes(updated=1, skipped=1)


@pytest.mark.spec("M3")
def test_columns_that_are_not_mapped_are_not_imported_and_the_link_counts_as_mapped(shop: Shop) -> None:
    shop.load(plan({"column": "x"}), {"id": "C1", "x": "a", "secret": "b"})
    assert shop.only(plan({"column": "x"})) == {"customer_id": "C1", "x": "a"}


@pytest.mark.spec("M4")
def test_set_overwrites_and_a_blank_cell_changes_nothing(shop: Shop) -> None:
    assert shop.value(plan({"column": "x"}), "a", "b", "", " \xa0") == "b"


@pytest.mark.spec("M4")
def test_set_with_blank_clear_removes_the_value(shop: Shop) -> None:
    clearing = plan({"column": "x", "blank": "clear"})
    assert shop.value(clearing, "a", "") is None
    assert shop.value(clearing, "b", "\u3000") is None
    assert shop.value(clearing, "c") == "c"


@pytest.mark.spec("M4", "M11")
def test_a_cell_that_is_rejected_does_not_clear(shop: Shop) -> None:
    clearing = plan({"column": "x", "blank": "clear", "type": "number"})
    assert shop.value(clearing, "5", "five") == "5"


@pytest.mark.spec("M4", "I8")
def test_set_replaces_a_list_by_a_multi_value_cell(shop: Shop) -> None:
    assert shop.value(plan({"column": "x", "multiple": True}), "a|b|c", "d|a|d") == ("d", "a")


@pytest.mark.spec("M5")
def test_set_if_empty_imports_only_where_there_is_no_value(shop: Shop) -> None:
    assert shop.value(plan({"column": "x", "rule": "set_if_empty"}), "", "a", "b") == "a"
    lists = Shop()
    assert lists.value(plan({"column": "x", "rule": "set_if_empty", "multiple": True}), "a|b", "c") == ("a", "b")


@pytest.mark.spec("M6")
def test_add_keeps_a_list_of_unique_values_in_first_seen_order_case_sensitive(shop: Shop) -> None:
    assert shop.value(plan({"column": "x", "rule": "add", "multiple": True}), "b|a", "a|A", "", "c|b|c") == ("b", "a", "A", "c")


@pytest.mark.spec("M6")
def test_add_takes_equal_numbers_for_one_however_they_are_written(shop: Shop) -> None:
    assert shop.value(plan({"column": "x", "rule": "add", "multiple": True, "type": "number"}), "1.50|2", "1.5|+2|3.0") == ("1.5", "2", "3")


@pytest.mark.spec("M7")
def test_a_tenth_added_ten_times_is_one(shop: Shop) -> None:
    total = plan({"column": "x", "rule": "sum", "type": "number"})
    shop.load(total, *[{"id": "C1", "x": "0.1"}] * 10)
    assert shop.only(total)["x"] == "1"


@pytest.mark.spec("M7")
def test_a_sum_does_not_depend_on_the_order() -> None:
    total = plan({"column": "x", "rule": "sum", "type": "number"})
    cells = ["0.000000000001", "99999999999999999999", "-99999999999999999999", "0.1", "-0.3", "1000000.5", "0.000000000009"] * 3
    found = set()
    for seed in range(6):
        shop = Shop()
        random.Random(seed).shuffle(cells)
        shop.load(total, *({"id": "C1", "x": cell} for cell in cells))
        found.add(shop.only(total)["x"])
    assert found == {"3000000.90000000003"}


@pytest.mark.spec("M7")
def test_an_empty_property_counts_as_zero_and_what_is_not_a_number_is_not_imported(shop: Shop) -> None:
    total = plan({"column": "x", "rule": "sum", "type": "number"})
    outcomes, rejects = shop.load(total, *({"id": "C1", "x": cell} for cell in ("5", "n/a", "NaN", "Infinity", "1e3", "", "-7")))
    assert shop.only(total)["x"] == "-2"
    assert outcomes == Outcomes(created=1, updated=1, unchanged=5, cells=4)
    assert {reason for _, _, reason in rejects} == {Reason.NOT_A_NUMBER}


@pytest.mark.spec("M7")
@pytest.mark.parametrize("added", ["0.5", "-0.5", "0.000000000001"])
def test_profiles_with_and_without_a_sum_get_theirs_in_one_file(shop: Shop, added: str) -> None:
    """Whole columns are added at once, in cents where that is exact: a profile without a value begins with 0 there too."""
    total = plan({"column": "x", "rule": "sum", "type": "number"})
    people = [f"C{n}" for n in range(30)]
    shop.load(total, *({"id": one, "x": "2" if n % 2 else ""} for n, one in enumerate(people)))
    shop.load(total, *({"id": one, "x": added} for one in people))
    found = shop.profiles(total)
    assert [found[address(one)]["x"] for one in people[:2]] == [added, str(2 + Decimal(added))]


@pytest.mark.spec("M7", "M11")
def test_an_overflow_rejects_the_cell_and_changes_nothing(shop: Shop) -> None:
    total = plan({"column": "x", "rule": "sum", "type": "number"}, {"column": "y"})
    cells = (LARGEST, "1", "-1", "2", "0.999999999999")
    outcomes, rejects = shop.load(total, *({"id": "C1", "x": cell, "y": f"row {n}"} for n, cell in enumerate(cells)))
    assert rejects == [(1, "x", Reason.SUM_OVERFLOW), (3, "x", Reason.SUM_OVERFLOW)]
    assert shop.only(total) == {"customer_id": "C1", "x": "9" * 25 + "8.999999999999", "y": "row 4"}
    assert outcomes == Outcomes(created=1, updated=4, cells=2)


@pytest.mark.spec("M11")
def test_a_bad_cell_is_rejected_and_the_rest_of_its_row_is_imported(shop: Shop) -> None:
    two = plan({"column": "x", "type": "date"}, {"column": "y"}, {"column": "z", "type": "number"})
    outcomes, rejects = shop.load(
        two, {"id": "C1", "x": "2026-02-30", "y": "a|b", "z": "5"}, {"id": "C1", "x": "2026-02-28", "y": "a", "z": ""}
    )
    assert outcomes == Outcomes(created=1, updated=1, cells=2)
    assert rejects == [(0, "x", Reason.NOT_A_DATE), (0, "y", Reason.SEVERAL_VALUES)]
    assert shop.only(two) == {"customer_id": "C1", "x": "2026-02-28", "y": "a", "z": "5"}


@pytest.mark.spec("M11", "R4")
def test_with_reject_row_a_bad_cell_rejects_its_row(shop: Shop) -> None:
    strict = plan({"column": "x", "type": "date"}, {"column": "y"}, on_bad_cell="reject_row")
    outcomes, rejects = shop.load(strict, {"id": "C1", "x": "never", "y": "lost"}, {"id": "C2", "x": "", "y": "kept"})
    assert outcomes == Outcomes(created=1, rejected=1, cells=1)
    assert rejects == [(0, "x", Reason.NOT_A_DATE)]
    assert [one["y"] for one in shop.profiles(strict).values()] == ["kept"]


@pytest.mark.spec("M11", "M7")
def test_with_reject_row_an_overflow_rejects_its_row(shop: Shop) -> None:
    strict = plan({"column": "x", "type": "number", "rule": "sum"}, {"column": "y"}, on_bad_cell="reject_row")
    outcomes, _ = shop.load(strict, *({"id": "C1", "x": cell, "y": cell} for cell in (LARGEST, "1", "-1")))
    assert outcomes == Outcomes(created=1, updated=1, rejected=1, cells=1)
    assert shop.only(strict) == {"customer_id": "C1", "x": "9" * 25 + "8", "y": "-1"}


@pytest.mark.spec("M11")
def test_a_row_without_a_usable_identifier_is_rejected_as_a_row(shop: Shop) -> None:
    outcomes, rejects = shop.load(plan({"column": "x"}), {"id": " ", "x": "a"}, {"id": "a|b", "x": "a"}, {"id": "C1", "x": "a"})
    assert outcomes == Outcomes(created=1, rejected=2)
    assert rejects == [(0, None, Reason.NO_IDENTIFIER), (1, None, Reason.INVALID_IDENTIFIER)]


@pytest.mark.spec("M12")
@pytest.mark.parametrize("rows", [2, 30, 500])
def test_rows_of_one_link_value_take_effect_in_file_order(shop: Shop, rows: int) -> None:
    both = plan({"column": "x"}, {"column": "y", "rule": "set_if_empty"}, {"column": "z", "rule": "add", "multiple": True})
    people = [f"C{n % 40}" for n in range(rows)]
    shop.load(both, *({"id": one, "x": f"{n}", "y": f"{n}", "z": f"{n}"} for n, one in enumerate(people)))
    for profile in shop.profiles(both).values():
        own = [f"{n}" for n, one in enumerate(people) if one == profile["customer_id"]]
        assert (profile["x"], profile["y"], profile["z"]) == (own[-1], own[0], tuple(own))


@pytest.mark.spec("M12")
def test_identical_rows_are_both_applied(shop: Shop) -> None:
    total = plan({"column": "x", "rule": "sum", "type": "number"})
    outcomes, _ = shop.load(total, *[{"id": "C1", "x": "2"}] * 3)
    assert shop.only(total)["x"] == "6"
    assert outcomes == Outcomes(created=1, updated=2)


@pytest.mark.spec("R4")
def test_every_row_has_one_outcome_and_unchanged_is_where_nothing_changed(shop: Shop) -> None:
    mapped = plan({"column": "x"}, {"column": "n", "type": "number", "rule": "sum"}, {"column": "l", "rule": "add", "multiple": True})
    rows = [
        {"id": "C1", "x": "a", "n": "1", "l": "u|v"},
        {"id": "C1", "x": "a", "n": "0", "l": "v"},
        {"id": "C1", "x": "", "n": "0.00", "l": ""},
        {"id": "C1", "x": "a", "n": "one", "l": "u"},
        {"id": "C1", "x": "a", "n": "", "l": "w"},
        {"id": "", "x": "a", "n": "1", "l": ""},
    ]
    outcomes, _ = shop.load(mapped, *rows)
    assert outcomes == Outcomes(created=1, updated=1, unchanged=3, rejected=1, cells=1)
    again, _ = shop.load(
        mapped.model_copy(update={"allow_creation": False}),
        {"id": "C9", "x": "a", "n": "bad", "l": ""},
        {"id": "C1", "x": "b", "n": "", "l": ""},
    )
    assert again == Outcomes(updated=1, skipped=1, cells=1)
