"""Whose rows a connection with objectives imports: P1 in examples, by the oracle, in columns and row by row."""

from __future__ import annotations

import random
from typing import Any
from unittest import mock

import pytest

from headrace.consent import has_consented
from headrace.import_plan import ImportPlan
from headrace.merge import Addresses, Profile, import_rows
from headrace.outcomes import Outcomes
from streaming.merge import columns as columns_module
from streaming.split import batches as batches_module
from tests.contention import owners_among
from tests.files import csv_bytes, line_numbers
from tests.memory_domain import MemoryDomain
from tests.unit.test_merge_columns import key

COLUMNS = ("id", "mail", "points", "consents")
OBJECTIVES = ("newsletter", "ads")
Row = dict[str, str]


def plan(*columns: str, objectives: tuple[str, ...] = OBJECTIVES, rule: str = "set", **more: Any) -> ImportPlan:
    """Linked by `id`, or by `mail` where it is the first of `columns`; `rule`: of the consents."""
    described: dict[str, dict[str, Any]] = {
        "id": {"property": "customer_id", "identifier": True, "rule": "set_if_empty"},
        "mail": {"property": "email", "type": "email", "identifier": True, "rule": "set"},
        "points": {"property": "points", "type": "number", "rule": "sum"},
        "consents": {"property": "consents", "multiple": True, "rule": rule, "blank": "clear" if rule == "set" else "ignore"},
    }
    link = "mail" if columns[0] == "mail" else "id"
    return ImportPlan.model_validate(
        {
            "domain": "test",
            "partitions": 4,
            "address_key": "07" * 32,
            "schema_version": 1,
            "width": 4,
            "file_format": {"multi_value": "|"},
            "links": [{"column": link, "property": described[link]["property"], "type": "email" if link == "mail" else "text"}],
            "mappings": [{"column": name, "property_id": COLUMNS.index(name), **described[name]} for name in columns],
            "allow_creation": True,
            "objectives": objectives,
            "consents_id": 3,
            **more,
        }
    )


EVERYTHING = plan("id", "mail", "points", "consents")
TAKES_EVERYONE = plan("id", "mail", "points", "consents", objectives=())


def row(customer: str = "", mail: str = "", points: str = "", consents: str = "") -> Row:
    return {"id": customer, "mail": f"{mail}@example.com" if mail else "", "points": points, "consents": consents}


class Domain:
    """Imports by the oracle and by the code of the workers, which must agree; `small_round` decides what is merged in columns, and what row by row."""

    def __init__(self, small_round: int, seed: int) -> None:
        self.memory, self.small_round = MemoryDomain(4, random.Random(seed)), small_round
        self.profiles: dict[bytes, Profile] = {}
        self.addresses = Addresses()

    def load(self, plan: ImportPlan, *rows: Row) -> Outcomes:
        with (
            mock.patch.object(columns_module, "SMALL_ROUND", self.small_round),
            mock.patch.object(batches_module, "BATCH_ROWS", 5_000 if self.small_round == 1 else 1),
        ):
            outcomes, rejects = self.memory.import_file(csv_bytes(list(rows), COLUMNS), plan)
        owners = owners_among(self.memory.profiles(), Addresses(self.memory.pointers()))
        expected = import_rows(self.profiles, rows, plan, self.addresses, owners)
        lines = line_numbers(list(rows))
        assert outcomes == expected.outcomes
        assert sorted(map(key, rejects)) == sorted((lines[at], column or "", reason.value) for at, column, reason in expected.rejects)
        assert self.memory.profiles() == self.profiles
        assert self.memory.pointers() == self.addresses.pointers
        return outcomes

    def of(self, customer: str) -> Profile | None:
        return next((one for one in self.profiles.values() if one.get("customer_id") == customer), None)


@pytest.fixture(params=[(1, 1), (5_000, 1), (5_000, 2), (5_000, 3)], ids=["in columns", "row by row", "another order", "a third"])
def domain(request: pytest.FixtureRequest) -> Domain:
    return Domain(*request.param)


@pytest.mark.spec("P1")
def test_only_rows_that_carry_consent_make_profiles(domain: Domain) -> None:
    outcomes = domain.load(
        EVERYTHING,
        row("C1", "a", "1", "newsletter"),
        row("C2", "b", "2", "sms"),
        row("C3", "c", "3", ""),
        row("C4", "d", "4", " sms | ads "),
        row("C5", "e", "5", "Newsletter"),
    )
    assert outcomes == Outcomes(created=2, skipped=3)
    assert {one["customer_id"] for one in domain.profiles.values()} == {"C1", "C4"}
    assert len(domain.addresses.pointers) == 2, "what was skipped claims nothing"


@pytest.mark.spec("P1")
def test_without_objectives_everyone_is_imported(domain: Domain) -> None:
    assert domain.load(TAKES_EVERYONE, row("C1", "", "1", "sms"), row("C2", "", "2", "")) == Outcomes(created=2)


@pytest.mark.spec("P1")
def test_a_profile_that_consented_before_goes_on(domain: Domain) -> None:
    """A file without a column for it, and one whose cell is blank."""
    domain.load(EVERYTHING, row("C1", "a", "1", "newsletter"))
    domain.load(TAKES_EVERYONE, row("C2", "b", "1", "sms"))
    silent, adding = plan("id", "mail", "points"), plan("id", "mail", "points", "consents", rule="add")
    assert domain.load(silent, row("C1", "", "2"), row("C2", "x", "2"), row("C3", "", "2")) == Outcomes(updated=1, skipped=2)
    assert domain.load(adding, row("C1", "", "4"), row("C2", "", "4")) == Outcomes(updated=1, skipped=1)
    assert domain.of("C1") == {"customer_id": "C1", "email": "a@example.com", "points": "7", "consents": ("newsletter",)}
    assert domain.of("C2") == {"customer_id": "C2", "email": "b@example.com", "points": "1", "consents": ("sms",)}


@pytest.mark.spec("P1")
def test_consent_is_judged_after_the_rows_own_cell(domain: Domain) -> None:
    domain.load(TAKES_EVERYONE, row("C1", "", "1", "sms"), row("C2", "", "1", "newsletter"))
    assert domain.load(EVERYTHING, row("C1", "", "2", "ads|sms"), row("C2", "", "2", "sms")) == Outcomes(updated=2)
    assert domain.of("C1") == {"customer_id": "C1", "points": "3", "consents": ("ads", "sms")}
    assert domain.of("C2") == {"customer_id": "C2", "points": "1", "consents": ("sms",)}


@pytest.mark.spec("P1", "R4")
def test_a_withdrawal_is_taken_in_and_nothing_else_of_its_row(domain: Domain) -> None:
    domain.load(EVERYTHING, row("C1", "a", "1", "newsletter"), row("C2", "b", "1", "ads"))
    again = row("C1", "new", "2", "")
    assert domain.load(EVERYTHING, again, again, row("C2", "", "4", "newsletter")) == Outcomes(updated=2, skipped=1)
    assert domain.of("C1") == {"customer_id": "C1", "email": "a@example.com", "points": "1"}
    assert domain.of("C2") == {"customer_id": "C2", "email": "b@example.com", "points": "5", "consents": ("newsletter",)}
    assert len(domain.addresses.pointers) == 2


@pytest.mark.spec("P1")
@pytest.mark.parametrize("rule", ["add", "set_if_empty"])
def test_the_rule_of_the_consents_decides_what_a_cell_withdraws(domain: Domain, rule: str) -> None:
    """Neither takes a consent away."""
    domain.load(EVERYTHING, row("C1", "", "1", "newsletter"))
    assert domain.load(plan("id", "points", "consents", rule=rule), row("C1", "", "2", "sms")) == Outcomes(updated=1)
    assert domain.profiles[next(iter(domain.profiles))]["points"] == "3"


@pytest.mark.spec("P1", "M12")
def test_rows_of_one_profile_are_judged_in_file_order(domain: Domain) -> None:
    outcomes = domain.load(
        EVERYTHING,
        row("C1", "", "1", "sms"),
        row("C1", "", "2", "newsletter"),
        row("C1", "", "4", "ads"),
        row("C1", "a", "8", "sms"),
        row("C1", "", "16", "sms"),
        row("C1", "", "32", "newsletter"),
    )
    assert outcomes == Outcomes(created=1, updated=3, skipped=2)
    assert domain.of("C1") == {"customer_id": "C1", "points": "38", "consents": ("newsletter",)}


@pytest.mark.spec("P1", "M11")
@pytest.mark.parametrize("on_bad_cell", ["reject_cell", "reject_row"])
def test_of_who_has_not_consented_no_cell_gets_into_a_rejects_file(domain: Domain, on_bad_cell: str) -> None:
    domain.load(EVERYTHING, row("C1", "", "1", "newsletter"), row("C2", "", "1", "newsletter"))
    strict = EVERYTHING.model_copy(update={"on_bad_cell": on_bad_cell})
    outcomes = domain.load(strict, row("C1", "", "n/a", "sms"), row("C2", "", "n/a", "newsletter"), row("C3", "", "n/a", ""))
    assert outcomes.cells == 1
    assert (outcomes.updated, outcomes.skipped) == (1, 1)
    assert domain.of("C1") == {"customer_id": "C1", "points": "1", "consents": ("sms",)}, (
        "the withdrawal counts in a row that can't be read, too"
    )


@pytest.mark.spec("P1", "M2")
def test_where_rows_may_not_create_consent_is_judged_all_the_same(domain: Domain) -> None:
    strict = EVERYTHING.model_copy(update={"allow_creation": False})
    outcomes = domain.load(strict, row("C1", "", "n/a", "newsletter"), row("C2", "", "n/a", "sms"))
    assert outcomes == Outcomes(skipped=2, cells=1)
    assert domain.profiles == {}


@pytest.mark.spec("P1", "M1")
def test_rows_that_reach_a_profile_by_another_identifier_are_judged_where_it_lives(domain: Domain) -> None:
    domain.load(TAKES_EVERYONE, *(row(f"C{n}", f"m{n}", "1", ("newsletter", "sms")[n % 2]) for n in range(8)))
    by_mail = plan("mail", "points", "consents")
    kept = plan("mail", "points")
    assert domain.load(kept, *(row("", f"m{n}", "2") for n in range(8))) == Outcomes(updated=4, skipped=4)
    swapped = [row("", f"m{n}", "4", ("sms", "newsletter")[n % 2]) for n in range(8)]
    assert domain.load(by_mail, *swapped, row("", "unknown", "4", "sms")) == Outcomes(updated=8, skipped=1)
    assert [(one["points"], one["consents"]) for n in range(8) if (one := domain.of(f"C{n}"))] == [
        ("3", ("sms",)),
        ("5", ("newsletter",)),
    ] * 4


@pytest.mark.spec("P1", "M10")
def test_an_identifier_that_only_rows_without_consent_name_stays_free(domain: Domain) -> None:
    domain.load(EVERYTHING, row("C1", "", "1", "newsletter"), row("C2", "", "1", "newsletter"))
    domain.load(EVERYTHING, row("C1", "a", "2", "sms"))
    assert domain.load(EVERYTHING, row("C2", "a", "2", "newsletter")) == Outcomes(updated=1)
    assert domain.of("C2") == {"customer_id": "C2", "email": "a@example.com", "points": "3", "consents": ("newsletter",)}


@pytest.mark.spec("P1", "M10")
def test_a_withdrawal_leaves_claims_that_are_not_decided_alone(domain: Domain) -> None:
    """C1 and C2 want one address in one file; each withdraws in its next row, before or after the answer."""
    domain.load(EVERYTHING, row("C1", "x", "1", "newsletter"), row("C2", "y", "1", "newsletter"))
    wanting = [row(f"C{n}", "a", "2", "newsletter") for n in (1, 2)]
    withdrawing = [row(f"C{n}", "b", "4", "sms") for n in (1, 2)]
    outcomes = domain.load(EVERYTHING, *wanting, *withdrawing)
    assert outcomes == Outcomes(updated=4, cells=1)
    mails = sorted(str(one["email"]) for one in domain.profiles.values())
    assert mails in (["a@example.com", "x@example.com"], ["a@example.com", "y@example.com"])


@pytest.mark.spec("P1")
def test_a_domain_without_consents_has_nobody_who_consented(domain: Domain) -> None:
    domain.load(TAKES_EVERYONE, row("C1", "", "1"))
    nobody = plan("id", "points", consents_id=None)
    assert domain.load(nobody, row("C1", "", "2"), row("C2", "", "2")) == Outcomes(skipped=2)


def test_a_consent_is_one_of_the_objectives_by_name() -> None:
    assert has_consented(("sms", "ads"), OBJECTIVES)
    assert has_consented(("\ufeffads ",), OBJECTIVES)
    assert not has_consented((), OBJECTIVES)
    assert not has_consented(("Ads", "news letter", "newsletters"), OBJECTIVES)
