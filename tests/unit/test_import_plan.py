"""A goal becomes a plan: which links rows have, which cells name their profile, which columns rows carry."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.address import PROFILE_IDENTIFIER, address_of
from headrace.domains import Domain
from headrace.errors import TerminalError
from headrace.goals import ImportProfilesGoal
from headrace.import_plan import Binding, ImportPlan, PlannedLink
from headrace.outcomes import Reason
from headrace.schema import initial_schema
from profile_store.registry import StoredDomain
from streaming.importing.plan import plan_of

DOMAIN = Domain.model_validate(
    {
        "version": 1,
        "kind": "domain",
        "name": "retail",
        "properties": [
            {"name": "customer_id", "identifier": True},
            {"name": "email", "type": "email", "identifier": True},
            {"name": "phone", "type": "number", "identifier": True},
            {"name": "tier"},
        ],
    }
)
STORED = StoredDomain(DOMAIN, initial_schema(DOMAIN, ()), "07" * 32)
ID, MAIL, PROFILE = ({"column": c, "property": p} for c, p in (("id", "customer_id"), ("mail", "email"), ("who", PROFILE_IDENTIFIER)))
TIER = {"column": "level", "property": "tier"}


def planned(link: list[dict[str, str]], *mappings: dict[str, str]) -> ImportPlan:
    goal = {"kind": "import_profiles", "name": "Customers", "domain": "retail", "source": {"bucket": "crm"}, "link": link}
    return plan_of(ImportProfilesGoal.model_validate({**goal, "mappings": mappings}), STORED, ())


def mapped(plan: ImportPlan) -> list[tuple[str, str, str, str]]:
    return [(one.column, one.property, one.rule, one.blank) for one in plan.mappings]


@pytest.mark.spec("M3")
def test_links_count_as_mapped_by_set_if_empty_where_their_property_is_not_mapped() -> None:
    plan = planned([ID, MAIL, PROFILE], TIER)
    assert plan.links == (
        PlannedLink(column="id", property="customer_id"),
        PlannedLink(column="mail", property="email", type="email"),
        PlannedLink(column="who", property=PROFILE_IDENTIFIER),
    )
    assert mapped(plan) == [
        ("id", "customer_id", "set_if_empty", "ignore"),
        ("mail", "email", "set_if_empty", "ignore"),
        ("level", "tier", "set", "ignore"),
    ]
    assert all(mapping.identifier == (mapping.property != "tier") for mapping in plan.mappings)


@pytest.mark.spec("M3", "M4", "M10")
def test_a_link_that_is_mapped_follows_its_mapping() -> None:
    clearing = {"column": "mail", "property": "email", "rule": "set", "blank": "clear"}
    plan = planned([ID, MAIL], clearing)
    assert mapped(plan) == [("id", "customer_id", "set_if_empty", "ignore"), ("mail", "email", "set", "clear")]
    assert plan.bindings == (
        Binding("id", "customer_id", "text", 0, mapping=0, property_id=0),
        Binding("mail", "email", "email", 1, mapping=1, property_id=1, rule="set", blank="clear"),
    )


@pytest.mark.spec("M1", "M10")
def test_an_identifier_that_is_no_link_is_claimed() -> None:
    plan = planned([ID], {"column": "mobile", "property": "phone"}, {"column": "mobile", "property": "tier"})
    assert plan.bindings == (
        Binding("id", "customer_id", "text", 0, mapping=0, property_id=0),
        Binding("mobile", "phone", "number", None, mapping=1, property_id=2, rule="set"),
    )
    assert plan.columns == ("id", "mobile")


@pytest.mark.spec("M1", "M10")
def test_a_link_whose_property_is_mapped_from_another_column_is_bound_and_not_stored() -> None:
    moved = {"column": "new mail", "property": "email"}
    plan = planned([ID, MAIL], moved)
    assert mapped(plan) == [("id", "customer_id", "set_if_empty", "ignore"), ("new mail", "email", "set", "ignore")]
    assert plan.bindings[1:] == (
        Binding("new mail", "email", "email", None, mapping=1, property_id=1, rule="set"),
        Binding("mail", "email", "email", 1),
    )
    assert plan.columns == ("id", "new mail", "mail")


@pytest.mark.spec("M1", "M2")
def test_profile_identifiers_are_bound_where_another_link_may_be_used() -> None:
    assert planned([PROFILE], TIER).bindings == ()
    assert planned([PROFILE], TIER).columns == ("level",)
    both = planned([ID, PROFILE], TIER)
    assert both.bindings[1:] == (Binding("who", PROFILE_IDENTIFIER, "text", 1),)
    assert both.columns == ("id", "level", "who")


def test_one_link_leaves_nothing_to_claim_but_what_is_mapped() -> None:
    plan = planned([MAIL], {"column": "new mail", "property": "email"})
    assert plan.columns == ("new mail",)
    assert [one.column for one in plan.bindings] == ["new mail"]


@pytest.mark.spec("M1", "M11")
def test_the_first_link_that_is_not_blank_decides() -> None:
    plan = planned([ID, MAIL, PROFILE])
    row = {"id": "C1", "mail": "a@example.com", "who": "AB" * 16}
    key = bytes.fromhex(STORED.address_key)
    assert plan.link_of_row(row) == (0, address_of(key, "customer_id", "C1"))
    assert plan.link_of_row({**row, "id": " \ufeff"}) == (1, address_of(key, "email", "a@example.com"))
    assert plan.link_of_row({**row, "id": "", "mail": ""}) == (2, b"\xab" * 16)
    assert plan.link_of_row({**row, "id": "", "mail": "nobody"}) is Reason.INVALID_IDENTIFIER
    assert plan.link_of_row({"id": "", "mail": " ", "who": "\t"}) is Reason.NO_IDENTIFIER
    for nobody in ("ab", "0" * 32):
        assert plan.address_of_row({"id": "", "mail": "", "who": nobody}) is Reason.INVALID_IDENTIFIER


def test_a_property_that_apply_has_not_made_is_missed() -> None:
    for link, mapping in (([ID], {"column": "x"}), ([{"column": "id", "property": "y"}], TIER)):
        with pytest.raises(TerminalError, match=r"has no property '[xy]' yet"):
            planned(link, {"property": "x", **mapping})


def test_a_plan_is_read_as_it_was_written() -> None:
    plan = planned([ID, MAIL, PROFILE], TIER)
    assert ImportPlan.model_validate_json(plan.model_dump_json()) == plan


def test_a_plan_has_a_link() -> None:
    written: dict[str, Any] = planned([ID]).model_dump()
    with pytest.raises(ValueError, match="links"):
        ImportPlan.model_validate({**written, "links": ()})
