"""What CreateUploadJob asks for: fields, targets, the unique key (SPEC U3, U4), and what it makes of a domain."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.domains import Domain
from headrace.errors import ConfigurationError
from headrace.outcomes import Outcomes
from headrace.schema import evolve, initial_schema
from headrace.standard_fields import standard_domain
from headrace.upload_jobs import definition_from_api, results_of, status_of
from headrace.upload_plan import needed_domain, upload_plan
from tests.uploaded import FIELDS

KEY = "0123456789abcdef" * 4


def request(fields: dict[str, Any] | None = None, key: str = "asset_id", **more: Any) -> dict[str, Any]:
    return {"DomainName": "shop", "DisplayName": "assets", "Fields": FIELDS if fields is None else fields, "UniqueKey": key, **more}


def problems(fields: dict[str, Any], key: str = "a") -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        definition_from_api(request(fields, key))
    return raised.value.problems


def target(name: str, source: str = "a", **more: str) -> dict[str, str]:
    return {"Source": source, "Target": f"_profile.{name}", **more}


@pytest.mark.spec("U3")
def test_a_bad_target_is_refused_in_the_words_of_the_source_text() -> None:
    [said] = problems({"a": target("AssetName")})
    assert said.startswith(
        "Provided nested target is invalid. Found _profile.AssetName, expected [AccountNumber, BusinessName, FirstName, "
    )


@pytest.mark.spec("U4")
@pytest.mark.parametrize(
    ("fields", "key", "said"),
    [
        ({}, "a", "Fields is empty"),
        ({"a": {"Target": "_profile.FirstName"}}, "a", "has no Source"),
        ({"a": {"Source": "a"}}, "a", "has no Target"),
        ({"a": target("FirstName"), "b": target("FirstName", "b")}, "a", "the same Target"),
        ({"a": target("FirstName")}, "z", "neither a key of Fields nor the Source"),
        ({"b": target("FirstName"), "c": target("LastName")}, "a", "the Source of 2 fields"),
        ({"a": target("BirthDate")}, "a", "which can't identify a record"),
    ],
)
def test_what_can_not_be_imported_is_refused(fields: dict[str, Any], key: str, said: str) -> None:
    assert any(said in one for one in problems(fields, key))


@pytest.mark.spec("U2", "U4")
def test_the_key_is_a_field_or_its_source_and_profiles_are_kept_for_14_days_unless_said() -> None:
    fields = {"k": target("AccountNumber", "column"), "column": target("FirstName", "other")}
    assert definition_from_api(request(fields, "k")).key.target == "_profile.AccountNumber"
    assert definition_from_api(request(fields, "column")).key.target == "_profile.FirstName"
    assert definition_from_api(request(fields, "other")).key.target == "_profile.FirstName"
    assert definition_from_api(request()).expiry_days == 14
    assert definition_from_api(request(DataExpiry=90)).expiry_days == 90


def test_what_is_asked_for_is_told_as_it_was() -> None:
    told = definition_from_api(request()).fields_for_api()
    assert told["asset_id"] == FIELDS["asset_id"]
    assert told["name"] == {**FIELDS["name"], "ContentType": "STRING"}


@pytest.mark.spec("U4")
def test_the_key_becomes_an_identifier_and_attributes_become_properties() -> None:
    upload, domain = definition_from_api(request(key="mail")), standard_domain("shop", 4)
    needed = needed_domain(upload, domain, initial_schema(domain), may_redefine=True)
    mail, price = needed.schema.find("EmailAddress"), needed.schema.find("Attributes.price")
    assert mail is not None
    assert price is not None
    assert (mail.identifier, mail.type) == (True, "email")
    assert needed.reshaped == (initial_schema(domain).find("EmailAddress").id,)  # type: ignore[union-attr]
    again = needed_domain(upload, needed.definition, needed.schema, may_redefine=True)
    assert again.changes == ()
    plan = upload_plan(upload, (needed.definition, KEY), needed.schema, "US", 1_900_000_000)
    assert {one.property: (one.type, one.longest, one.identifier, one.rule) for one in plan.mappings} == {
        "AccountNumber": ("text", 255, False, "set"),
        "AdditionalInformation": ("text", 1000, False, "set"),
        "EmailAddress": ("email", 255, True, "set"),
        "PhoneNumber": ("phone", 255, False, "set"),
        "Attributes.price": ("numeral", 255, False, "set"),
        "Address.City": ("text", 255, False, "set"),
    }
    assert (plan.on_bad_cell, plan.allow_creation, plan.expires) == ("reject_row", True, 1_900_000_000)
    assert plan.links[0].column == "mail"


def test_a_domain_of_a_file_gets_what_it_lacks_and_keeps_what_it_says() -> None:
    domain = Domain.model_validate(
        {"version": 1, "kind": "domain", "name": "shop", "properties": [{"name": "FirstName"}, {"name": "id", "identifier": True}]}
    )
    schema = initial_schema(domain)
    needed = needed_domain(definition_from_api(request()), domain, schema, may_redefine=False)
    assert needed.definition == domain
    assert {one.property.name: one.kind for one in needed.changes}["AccountNumber"] == "added"
    assert evolve(needed.schema, domain, [one.as_property() for one in needed.schema.active if one.origin == "mapping"])[1] == []
    named = definition_from_api(request({"a": target("FirstName")}, "a"))
    with pytest.raises(ConfigurationError, match="the domain's file says so"):
        needed_domain(named, domain, schema, may_redefine=False)


@pytest.mark.spec("U7")
@pytest.mark.parametrize(
    ("outcomes", "status", "results"),
    [
        (Outcomes(), "SUCCEEDED", (0, 0, 0)),
        (Outcomes(created=2, updated=3, unchanged=4), "SUCCEEDED", (2, 7, 0)),
        (Outcomes(created=2, rejected=1), "PARTIALLY_SUCCEEDED", (2, 0, 1)),
        (Outcomes(unchanged=1, skipped=1), "PARTIALLY_SUCCEEDED", (0, 1, 1)),
        (Outcomes(updated=1, cells=1), "PARTIALLY_SUCCEEDED", (0, 1, 0)),
        (Outcomes(rejected=5), "FAILED", (0, 0, 5)),
    ],
)
def test_a_job_ends_as_its_rows_did(outcomes: Outcomes, status: str, results: tuple[int, int, int]) -> None:
    assert status_of(outcomes) == status
    created, updated, failed = results
    assert results_of(outcomes) == {"CreatedRecords": created, "UpdatedRecords": updated, "FailedRecords": failed}
