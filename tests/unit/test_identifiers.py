"""What an import means where rows have several identifiers: M1, M2 and M10 in examples, by the oracle."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.address import PROFILE_IDENTIFIER, address_of
from headrace.import_plan import ImportPlan
from headrace.merge import Addresses, OracleResult, Profile, import_rows
from headrace.outcomes import Outcomes, Reason

KEY = "07" * 32
TYPES = {"customer_id": "text", "email": "email", "phone": "number"}
CONFLICT = Reason.IDENTIFIER_CONFLICT
Row = dict[str, str]


def plan(*links: str, mappings: dict[str, dict[str, Any]] | None = None, **more: Any) -> ImportPlan:
    """Links columns to properties of the same name. `mappings`: property → what it says besides, such as another column."""
    mapped = mappings or {}
    unmapped = [name for name in links if name not in mapped and name != PROFILE_IDENTIFIER]
    described = {name: {"rule": "set_if_empty"} for name in unmapped} | mapped
    return ImportPlan.model_validate(
        {
            "domain": "test",
            "partitions": 3,
            "address_key": KEY,
            "schema_version": 1,
            "width": len(described),
            "links": [{"column": name, "property": name, "type": TYPES.get(name, "text")} for name in links],
            "mappings": [
                {
                    "column": name,
                    "property": name,
                    "property_id": place,
                    "type": TYPES.get(name, "text"),
                    "identifier": name in TYPES,
                    **what,
                }
                for place, (name, what) in enumerate(described.items())
            ],
            "allow_creation": True,
            **more,
        }
    )


def address(name: str, value: str) -> bytes:
    return address_of(bytes.fromhex(KEY), name, value)


def c(number: int) -> bytes:
    """The profile identifier of customer C<number>'s own profile."""
    return address("customer_id", f"C{number}")


def mail(name: str) -> bytes:
    return address("email", f"{name}@example.com")


def row(customer: str = "", name: str = "", phone: str = "", **more: str) -> Row:
    """`name`: of an e-mail address at example.com."""
    return {"customer_id": customer, "email": f"{name}@example.com" if name else "", "phone": phone, **more}


class Domain:
    def __init__(self) -> None:
        self.profiles: dict[bytes, Profile] = {}
        self.addresses = Addresses()

    def load(self, plan: ImportPlan, *rows: Row, owners: dict[bytes, bytes] | None = None) -> OracleResult:
        result = import_rows(self.profiles, rows, plan, self.addresses, owners)
        assert result.outcomes.rows == len(rows)
        assert not set(self.addresses.pointers) & set(self.profiles), "an address is a profile or a pointer"
        assert set(self.addresses.pointers.values()) <= set(self.profiles)
        return result

    def values(self, name: str) -> dict[bytes, Any]:
        return {profile: values[name] for profile, values in self.profiles.items() if name in values}


@pytest.fixture
def domain() -> Domain:
    return Domain()


BY_BOTH = plan("customer_id", "email")
SETS = plan("customer_id", mappings={"email": {"rule": "set"}})
CLEARS = plan("customer_id", mappings={"email": {"rule": "set", "blank": "clear"}})
FILLS = plan("customer_id", mappings={"email": {"rule": "set_if_empty"}})


@pytest.mark.spec("M1", "M2")
def test_a_row_uses_its_first_link_that_is_not_blank_and_its_others_are_bound(domain: Domain) -> None:
    result = domain.load(BY_BOTH, row("C1", "a"), row(" ", "a"), row("", "b"), row("", ""))
    assert domain.profiles == {c(1): {"customer_id": "C1", "email": "a@example.com"}, mail("b"): {"email": "b@example.com"}}
    assert domain.addresses.pointers == {mail("a"): c(1)}
    assert result.outcomes == Outcomes(created=2, unchanged=1, rejected=1)
    assert result.rejects == [(3, None, Reason.NO_IDENTIFIER)]


@pytest.mark.spec("M1", "M11")
def test_a_first_link_that_is_no_identifier_rejects_the_row_even_if_another_is_one(domain: Domain) -> None:
    by_mail = plan("email", "customer_id")
    result = domain.load(by_mail, {"email": "nobody", "customer_id": "C1"}, {"email": "", "customer_id": "C1"})
    assert result.rejects == [(0, None, Reason.INVALID_IDENTIFIER)]
    assert result.outcomes == Outcomes(created=1, rejected=1)


@pytest.mark.spec("M1", "M11")
@pytest.mark.parametrize(
    ("on_bad_cell", "outcomes"), [("reject_cell", Outcomes(created=1, cells=1)), ("reject_row", Outcomes(rejected=1, cells=1))]
)
def test_a_later_link_that_is_no_identifier_is_a_rejected_cell(domain: Domain, on_bad_cell: str, outcomes: Outcomes) -> None:
    result = domain.load(BY_BOTH.model_copy(update={"on_bad_cell": on_bad_cell}), {"customer_id": "C1", "email": "nobody"})
    assert (result.outcomes, result.rejects) == (outcomes, [(0, "email", Reason.INVALID_IDENTIFIER)])


@pytest.mark.spec("M1", "M10")
def test_an_identifier_of_another_profile_is_not_taken_over(domain: Domain) -> None:
    result = domain.load(SETS, row("C1", "a"), row("C2", "a"), row("C2", "b"), row("C1", "b"))
    assert domain.values("email") == {c(1): "a@example.com", c(2): "b@example.com"}
    assert result.rejects == [(1, "email", CONFLICT), (3, "email", CONFLICT)]
    assert result.outcomes == Outcomes(created=2, updated=1, unchanged=1, cells=2)


@pytest.mark.spec("M1", "M10")
def test_a_profile_that_an_identifier_made_keeps_it(domain: Domain) -> None:
    result = domain.load(BY_BOTH, row("", "a"), row("C1", "a"))
    assert domain.profiles == {mail("a"): {"email": "a@example.com"}, c(1): {"customer_id": "C1"}}
    assert result.rejects == [(1, "email", CONFLICT)]


@pytest.mark.spec("M10", "M11")
def test_a_conflict_costs_the_cell_alone_also_where_bad_cells_cost_the_row(domain: Domain) -> None:
    strict = plan("customer_id", mappings={"email": {}, "x": {}}, on_bad_cell="reject_row")
    result = domain.load(strict, row("C1", "a", x="1"), row("C2", "a", x="2"))
    assert domain.values("x") == {c(1): "1", c(2): "2"}
    assert result.outcomes == Outcomes(created=2, cells=1)


@pytest.mark.spec("M4", "M10")
def test_set_replaces_the_value_and_the_former_one_stays_bound(domain: Domain) -> None:
    domain.load(SETS, row("C1", "a"), row("C1", "b"))
    assert domain.values("email") == {c(1): "b@example.com"}
    result = domain.load(BY_BOTH, row("", "a", x="by a former one"), row("C2", "a"))
    assert domain.addresses.bound_to(c(1)) == {c(1), mail("a"), mail("b")}
    assert result.rejects == [(1, "email", CONFLICT)]
    assert result.outcomes == Outcomes(created=1, unchanged=1, cells=1)


@pytest.mark.spec("M4", "M10")
def test_blank_clear_removes_the_value_which_stays_bound(domain: Domain) -> None:
    result = domain.load(CLEARS, row("C1", "a"), row("C1", ""), row("C1", ""), row("C2", "a"))
    assert domain.values("email") == {}
    assert domain.addresses.pointers == {mail("a"): c(1)}
    assert result.outcomes == Outcomes(created=2, updated=1, unchanged=1, cells=1)


@pytest.mark.spec("M10")
def test_a_denied_cell_does_not_clear(domain: Domain) -> None:
    domain.load(CLEARS, row("C1", "a"), row("C2", "b"), row("C2", "a"))
    assert domain.values("email") == {c(1): "a@example.com", c(2): "b@example.com"}


@pytest.mark.spec("M5", "M10")
def test_set_if_empty_binds_what_it_does_not_store(domain: Domain) -> None:
    result = domain.load(FILLS, row("C1", "a"), row("C1", "b"), row("C1", "b"), row("C2", "b"))
    assert domain.values("email") == {c(1): "a@example.com"}
    assert domain.addresses.pointers == {mail("a"): c(1), mail("b"): c(1)}
    assert result.outcomes == Outcomes(created=2, updated=1, unchanged=1, cells=1), "to bind one more is a change"


@pytest.mark.spec("M5", "M10")
def test_set_if_empty_takes_the_first_value_that_is_granted(domain: Domain) -> None:
    domain.load(FILLS, row("C1", "a"), row("C2", "a"), row("C2", "b"), row("C2", "c"))
    assert domain.values("email") == {c(1): "a@example.com", c(2): "b@example.com"}


@pytest.mark.spec("M10", "R4")
def test_a_row_that_only_claims_in_vain_leaves_its_profile_unchanged(domain: Domain) -> None:
    domain.load(SETS, row("C1", "a"), row("C2", "b"))
    result = domain.load(SETS, row("C2", "a"))
    assert result.outcomes == Outcomes(unchanged=1, cells=1)


@pytest.mark.spec("M10")
def test_of_two_identifiers_one_may_be_denied(domain: Domain) -> None:
    both = plan("customer_id", mappings={"email": {}, "phone": {}})
    domain.load(both, row("C1", "a", "1"))
    result = domain.load(both, row("C2", "a", "2"), row("C3", "c", "1.0"), row("C1", "c", "2"))
    assert domain.values("email") == {c(1): "a@example.com", c(3): "c@example.com"}
    assert domain.values("phone") == {c(1): "1", c(2): "2"}
    assert result.rejects == [(0, "email", CONFLICT), (1, "phone", CONFLICT), (2, "email", CONFLICT), (2, "phone", CONFLICT)]
    assert result.outcomes == Outcomes(created=2, unchanged=1, cells=4)


@pytest.mark.spec("M1", "M2")
def test_a_profile_may_claim_what_is_its_own(domain: Domain) -> None:
    """Its own address, an identifier that it has, and one twice in a row."""
    by_mail_first = plan("email", "customer_id")
    domain.load(by_mail_first, row("C1", "a"))
    assert domain.profiles == {mail("a"): {"email": "a@example.com", "customer_id": "C1"}}
    by_customer = plan("customer_id", "email", PROFILE_IDENTIFIER)
    own = mail("a").hex()
    result = domain.load(by_customer, row("C1", "a", profile_identifier=own), row("", "", profile_identifier=own.upper()))
    assert (result.outcomes, result.rejects) == (Outcomes(unchanged=2), [])
    other = c(9).hex()
    result = domain.load(by_customer, row("C9", "n", profile_identifier=other), row("C1", "", profile_identifier=other))
    assert (result.outcomes, result.rejects) == (Outcomes(created=1, unchanged=1, cells=1), [(1, "profile_identifier", CONFLICT)])


@pytest.mark.spec("M1", "M2")
def test_a_given_profile_identifier_that_nobody_has_leads_to_the_rows_profile(domain: Domain) -> None:
    given = "00112233445566778899aabbccddeeff"
    by_both = plan("customer_id", PROFILE_IDENTIFIER, mappings={"x": {}})
    result = domain.load(
        by_both,
        row("C1", x="1", profile_identifier=given),
        row("", x="2", profile_identifier=given),
        row("C2", x="3", profile_identifier="no identifier"),
    )
    assert domain.addresses.pointers == {bytes.fromhex(given): c(1)}
    assert domain.values("x") == {c(1): "2", c(2): "3"}
    assert result.outcomes == Outcomes(created=2, updated=1, cells=1)
    assert result.rejects == [(2, "profile_identifier", Reason.INVALID_IDENTIFIER)]


@pytest.mark.spec("M1", "M10")
def test_a_link_may_find_what_a_mapping_from_another_column_changes(domain: Domain) -> None:
    moved = plan("email", mappings={"email": {"column": "new", "rule": "set"}})
    domain.load(BY_BOTH, row("C1", "a"))
    result = domain.load(moved, row(name="a", new="b@example.com"), row(name="b", new="c@example.com"), row(name="x", new="b@example.com"))
    assert domain.values("email") == {c(1): "c@example.com"}
    assert domain.addresses.bound_to(c(1)) == {c(1), mail("a"), mail("b"), mail("c")}
    assert domain.profiles[mail("x")] == {}
    assert result.rejects == [(2, "new", CONFLICT)]
    several = plan("customer_id", "email", mappings={"email": {"column": "new", "rule": "set"}})
    result = domain.load(several, row("C1", "d", new=""), row("", "d", new="e@example.com"), row("C2", "a", new=""))
    assert domain.values("email") == {c(1): "e@example.com"}
    assert mail("d") in domain.addresses.bound_to(c(1)), "a link is bound where nothing stores it"
    assert (result.outcomes, result.rejects) == (Outcomes(created=1, updated=2, cells=1), [(2, "email", CONFLICT)])


@pytest.mark.spec("M2")
def test_rows_that_are_skipped_or_rejected_bind_nothing(domain: Domain) -> None:
    total = {"x": {"type": "number", "rule": "sum"}}
    domain.load(SETS.model_copy(update={"allow_creation": False}), row("C1", "a"))
    strict = plan("customer_id", "email", mappings=total, on_bad_cell="reject_row")
    domain.load(strict, row("C1", "a", x="one"), row("C2", x="9" * 26), row("C2", "a", x="1"))
    assert domain.addresses.pointers == {}
    assert domain.load(BY_BOTH, row("C3", "a")).rejects == []


def test_an_address_that_is_suppressed_is_nobodys(domain: Domain) -> None:
    domain.addresses.suppressed.add(mail("a"))
    bad = plan("customer_id", "email", mappings={"x": {"type": "number"}}, on_bad_cell="reject_row")
    result = domain.load(bad, row("", "a", x="bad, but whose row this is nobody may know"), row("C1", "a", x=""))
    assert domain.profiles == {c(1): {"customer_id": "C1"}}
    assert (result.outcomes, result.rejects) == (Outcomes(created=1, skipped=1, cells=1), [(1, "email", CONFLICT)])


CONTENDED = (row("C1", "a", x="1"), row("", "a", x="2"), row("C2", "a", x="4"), row("", "a", x="8"))
SUMS = plan("customer_id", "email", mappings={"x": {"type": "number", "rule": "sum"}})


@pytest.mark.spec("M1", "M10", "M12")
@pytest.mark.parametrize(
    ("owner", "sums", "denied"),
    [
        (c(1), {c(1): "11", c(2): "4"}, [2]),
        (c(2), {c(1): "1", c(2): "14"}, [0]),
        (mail("a"), {c(1): "1", c(2): "4", mail("a"): "10"}, [0, 2]),
    ],
)
def test_either_contender_may_get_an_identifier(domain: Domain, owner: bytes, sums: dict[bytes, str], denied: list[int]) -> None:
    result = domain.load(SUMS, *CONTENDED, owners={mail("a"): owner})
    assert domain.values("x") == sums
    assert result.rejects == [(place, "email", CONFLICT) for place in denied]
    assert result.outcomes == Outcomes(created=len(sums), updated=4 - len(sums), cells=len(denied))


def test_an_owner_is_named_for_what_is_empty_and_changes_nothing_else(domain: Domain) -> None:
    domain.load(SUMS, row("C1", "a", x="1"))
    result = domain.load(SUMS, row("C2", "a", x="1"), row("", "a", x="1"), owners={mail("a"): c(2), mail("b"): c(1)})
    assert domain.values("x") == {c(1): "2", c(2): "1"}
    assert result.rejects == [(0, "email", CONFLICT)]


@pytest.mark.spec("M12")
def test_rows_that_wait_for_their_owner_take_effect_in_order_behind_its_claim(domain: Domain) -> None:
    lists = plan("customer_id", "email", mappings={"x": {"rule": "add", "multiple": True}})
    rows = [
        row("", "a", x="1"),
        row("", "b", x="2"),
        row("", "a", x="3"),
        row("C1", "a", x="4"),
        row("", "a", x="5"),
        row("C1", "b", x="6"),
    ]
    domain.load(lists, *rows, owners={mail("a"): c(1), mail("b"): c(1)})
    assert domain.values("x") == {c(1): ("4", "1", "3", "5", "6", "2")}


def test_an_owner_that_nothing_makes_is_an_error(domain: Domain) -> None:
    with pytest.raises(ValueError, match=r"rows \[0\] wait for addresses that no profile asks for"):
        domain.load(SUMS, row("", "a", x="1"), owners={mail("a"): c(7)})
