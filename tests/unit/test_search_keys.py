"""What SearchProfiles finds, against what its keys mean, profile by profile."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.errors import ApiError
from api.search_keys import FULL_NAME, KEYS, as_segment, combinations_of
from headrace.domains import Property
from headrace.schema import evolve, initial_schema
from headrace.segment_evaluation import is_member
from headrace.standard_fields import standard_domain
from profile_store.registry import StoredDomain

DEFINITION = standard_domain("d", 1)
SCHEMA, _ = evolve(
    initial_schema(DEFINITION), DEFINITION, [Property(name="Attributes.tier"), Property(name="Attributes.points", type="number")]
)
DOMAIN = StoredDomain(DEFINITION, SCHEMA, "00" * 32, "api", {})
PROPERTIES = {one.name: one.as_property() for one in SCHEMA.active}
WORDS = st.sampled_from(["Ann", "van", "Dam"])
NAMES = st.lists(WORDS, min_size=1, max_size=2).map(" ".join)
PROFILE = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("FirstName", "MiddleName", "LastName"), NAMES),
        **dict.fromkeys(("EmailAddress", "BusinessEmailAddress"), st.sampled_from(["a@b.example", "c@b.example"])),
        **dict.fromkeys(("PhoneNumber", "HomePhoneNumber"), st.sampled_from(["+1", "+2"])),
        "Attributes.tier": st.sampled_from(["gold", "none"]),
        "Attributes.points": st.sampled_from(["1", "2.5"]),
        "BirthDate": st.just("1990-01-02"),
    },
)
KEY = st.one_of(
    st.tuples(st.just(FULL_NAME), st.lists(st.lists(WORDS, min_size=2, max_size=4).map(" ".join), max_size=2)),
    st.tuples(st.just("_email"), st.lists(st.sampled_from(["A@B.example", "c@b.example", "nobody"]), max_size=2)),
    st.tuples(st.just("_phone"), st.lists(st.sampled_from(["+1", "+2", "+3"]), max_size=60)),
    st.tuples(st.just("tier"), st.lists(st.sampled_from(["gold", " "]), max_size=2)),
    st.tuples(st.just("points"), st.lists(st.sampled_from(["2.50", "many"]), max_size=2)),
    st.tuples(st.just("BirthDate"), st.lists(st.sampled_from(["1990-01-02", "soon"]), max_size=2)),
)


def fits(profile: dict[str, str], key: str, values: list[str]) -> bool:
    if key == FULL_NAME:
        first, middle, last = (profile.get(name) for name in ("FirstName", "MiddleName", "LastName"))
        return any(value in (f"{first} {last}", f"{first} {middle} {last}") for value in values)
    if key == "points":
        return profile.get("Attributes.points") == "2.5" and "2.50" in values
    asked = [*values, *(one.lower() for one in values)] if key == "_email" else values
    names = KEYS.get(key, (key, f"Attributes.{key}"))
    return any(profile.get(name) in asked for name in names if profile.get(name) is not None)


@settings(max_examples=300)
@given(PROFILE, st.lists(KEY, min_size=1, max_size=3), st.booleans())
def test_a_profile_is_found_where_its_keys_fit(profile: dict[str, Any], asked: list[Any], every_key: bool) -> None:
    found = combinations_of(DOMAIN, asked, every_key=every_key)
    wanted = (all if every_key else any)(fits(profile, key, values) for key, values in asked)
    assert (bool(found) and is_member(as_segment(DOMAIN, found), profile, {}, PROPERTIES)) is wanted


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([(FULL_NAME, ["Ann"])], "2 to 10 words"),
        ([(FULL_NAME, [" ".join(["a"] * 11)])], "2 to 10 words"),
        ([("_caseId", ["1"])], r"use _profileId, _account, _email, _phone, _fullName, or the name"),
        ([("_email", ["a"]), ("_profileId", ["0" * 32])], "_profileId stands alone"),
        ([(FULL_NAME, [f"{n} b c d e f" for n in range(60)])] * 3, "can't be asked for at once"),
    ],
)
def test_what_can_not_be_asked_for_is_said(asked: list[Any], said: str) -> None:
    with pytest.raises(ApiError, match=said) as caught:
        combinations_of(DOMAIN, asked, every_key=True)
    assert caught.value.code == "BadRequestException"


def test_a_domain_that_lacks_a_name_has_nobody_of_it() -> None:
    alone = dataclasses.replace(DOMAIN, schema=initial_schema(DEFINITION.model_copy(update={"properties": (Property(name="LastName"),)})))
    assert combinations_of(alone, [(FULL_NAME, ["Ann Dam"])], every_key=False) == []
