"""The API's fields: as its own model has them, as targets, and as a domain (SPEC U3, U14)."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from headrace.segment_api import ADDRESS_FIELDS as SEGMENT_ADDRESS_FIELDS
from headrace.segment_api import ADDRESSES as SEGMENT_ADDRESSES
from headrace.segment_api import STANDARD_FIELDS as SEGMENT_FIELDS
from headrace.standard_fields import (
    ADDRESS_FIELDS,
    ADDRESSES,
    LONGEST,
    PROFILE_TYPE,
    STANDARD_FIELDS,
    field_of_target,
    invalid_target,
    standard_domain,
)


@pytest.mark.spec("U3")
def test_every_field_is_one_of_the_models_profile_with_its_length() -> None:
    profile: Any = botocore.session.get_session().get_service_model("customer-profiles").shape_for("Profile")
    for one in STANDARD_FIELDS:
        first, _, rest = one.name.partition(".")
        shape = profile.members[first] if not rest else profile.members[first].members[rest]
        assert one.longest == shape.metadata["max"], one.name
    assert set(ADDRESS_FIELDS) == set(profile.members["Address"].members)
    attributes = profile.members["Attributes"]
    assert {attributes.key.metadata["max"], attributes.value.metadata["max"]} == {LONGEST}


def test_whatever_a_segment_may_ask_for_is_in_the_domain() -> None:
    names = {one.name for one in standard_domain("shop").properties}
    assert names >= set(SEGMENT_FIELDS) | {f"{address}.{field}" for address in SEGMENT_ADDRESSES for field in SEGMENT_ADDRESS_FIELDS}
    assert SEGMENT_ADDRESSES == ADDRESSES
    assert PROFILE_TYPE.name in names


def test_a_birth_date_is_a_date_and_nothing_identifies_a_profile_yet() -> None:
    domain = standard_domain("shop", partitions=4)
    assert domain.partitions == 4
    assert [one.name for one in domain.properties if one.type == "date"] == ["BirthDate"]
    assert not [one.name for one in domain.properties if one.identifier]


@pytest.mark.parametrize("target", ["_profile.AccountNumber", "_profile.Address.City", "_profile.BillingAddress.PostalCode"])
def test_a_target_is_a_standard_field(target: str) -> None:
    found = field_of_target(target)
    assert found is not None
    assert found.name == target.removeprefix("_profile.")


def test_a_custom_attribute_is_a_target() -> None:
    found = field_of_target("_profile.Attributes.favourite colour")
    assert found is not None
    assert (found.name, found.longest, found.type) == ("Attributes.favourite colour", 255, "text")


@pytest.mark.spec("U3")
@pytest.mark.parametrize(
    "target",
    [
        "AccountNumber",
        "_profile.",
        "_profile.AssetName",
        "_profile.accountnumber",
        "_profile.Address",
        "_profile.Address.Planet",
        "_profile.ProfileType",
        "_profile.Attributes",
        "_profile.Attributes.",
        "_profile.Attributes.a=b",
        "_profile.Attributes.two\nlines",
        f"_profile.Attributes.{'x' * 256}",
        "_profile._profile.AccountNumber",
    ],
)
def test_anything_else_is_refused_as_the_source_text_says(target: str) -> None:
    assert field_of_target(target) is None
    said = invalid_target(target)
    assert said.startswith(f"Provided nested target is invalid. Found {target}, expected [AccountNumber, BusinessName, FirstName, ")
    assert said.endswith("]")
