"""What SearchProfiles asks for, as a condition over properties: one of some combinations of values holds, whole (docs/api.md)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from api.errors import bad_request
from headrace.segment_values import value_problem
from headrace.segments import Dimension, Segment, SegmentGroup
from headrace.standard_fields import ATTRIBUTES_PREFIX
from profile_store.registry import StoredDomain

PROFILE_ID, EMAIL, FULL_NAME = "_profileId", "_email", "_fullName"
KEYS: Mapping[str, tuple[str, ...]] = {
    "_account": ("AccountNumber",),
    EMAIL: ("EmailAddress", "PersonalEmailAddress", "BusinessEmailAddress"),
    "_phone": ("PhoneNumber", "MobilePhoneNumber", "HomePhoneNumber", "BusinessPhoneNumber"),
}
"""The model's own names of keys, and the properties that each looks at. Any other key is the name of a property, or of an attribute."""
MOST_VALUES = 1_000
MOST_WORDS = 10
MOST_COMBINATIONS = 10_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """A property that has one of the values."""

    property: str
    values: tuple[str, ...]


Combination = tuple[Wanted, ...]
"""All of them hold."""


Asked = Sequence[tuple[str, Sequence[str]]]
"""Keys with their values."""


def refuse_too_many(asked: Asked) -> None:
    """The model leaves it open how many values a key has. Raises ApiError."""
    if sum(len(values) for _, values in asked) > MOST_VALUES:
        raise bad_request(f"More than {MOST_VALUES:,} values are asked for; ask for fewer at a time.")


def combinations_of(domain: StoredDomain, asked: Asked, *, every_key: bool) -> list[Combination]:
    """`every_key`: all keys have to fit, else any. Empty where no profile can fit. Raises ApiError."""
    each = [list(_of_key(domain, name, values)) for name, values in asked]
    if not every_key:
        return [one for found in each for one in found]
    if _product_of(map(len, each)) > MOST_COMBINATIONS:
        raise bad_request("So many full names and other keys can't be asked for at once; ask for fewer.")
    return [tuple(wanted for one in chosen for wanted in one) for chosen in product(*each)]


def as_segment(domain: StoredDomain, found: Iterable[Combination]) -> Segment:
    """Of a name that no segment has. Not validated: definitions that are kept may say less than a search."""
    groups = tuple(
        SegmentGroup.model_construct(
            dimensions=tuple(Dimension.model_construct(property=one.property, comparison="inclusive", values=one.values) for one in each),
            type="all",
        )
        for each in found
    )
    return Segment.model_construct(
        version=1, kind="segment", domain=domain.name, name=f"search-{uuid.uuid4().hex}", groups=groups, include="any"
    )


def _of_key(domain: StoredDomain, name: str, values: Sequence[str]) -> Iterator[Combination]:
    if name == FULL_NAME:
        for value in dict.fromkeys(values):
            yield from _of_full_name(domain, value)
        return
    wanted = list(dict.fromkeys([*values, *(one.lower() for one in values)] if name == EMAIL else values))
    for one in _properties(domain, name):
        yield from _fitting(domain, [(one, wanted)])


def _of_full_name(domain: StoredDomain, value: str) -> Iterator[Combination]:
    """`Ann van Dam` may have the first name `Ann van`, or the middle name `van`, or the last name `van Dam`."""
    words = value.split()
    if not 2 <= len(words) <= MOST_WORDS:
        raise bad_request(
            f"A value of {FULL_NAME} has 2 to {MOST_WORDS} words: first name, last name, and between them a middle name, or none."
        )
    for parts, names in ((2, ("FirstName", "LastName")), (3, ("FirstName", "MiddleName", "LastName"))):
        for cuts in combinations(range(1, len(words)), parts - 1):
            texts = (" ".join(words[start:end]) for start, end in zip((0, *cuts), (*cuts, len(words)), strict=True))
            yield from _fitting(domain, [(name, [text]) for name, text in zip(names, texts, strict=True)])


def _properties(domain: StoredDomain, name: str) -> list[str]:
    there = {one.name for one in domain.schema.active}
    known = KEYS.get(name) or ((name,) if name in there else (f"{ATTRIBUTES_PREFIX}{name}",))
    found = [one for one in known if one in there]
    if not found:
        alone = f" {PROFILE_ID} stands alone." if name == PROFILE_ID else ""
        raise bad_request(
            f"Profiles of domain {domain.name} can't be searched by this KeyName; use {', '.join([PROFILE_ID, *KEYS, FULL_NAME])},"
            f" or the name of a property or attribute.{alone}"
        )
    return found


def _fitting(domain: StoredDomain, wanted: Iterable[tuple[str, Sequence[str]]]) -> Iterator[Combination]:
    """One combination, or none where a property can't have any of its values."""
    found = []
    for name, values in wanted:
        stored = domain.schema.find(name)
        fitting = [one for one in values if stored is not None and value_problem(stored.as_property(), "inclusive", one) is None]
        if not fitting:
            return
        found.append(Wanted(name, tuple(fitting)))
    yield tuple(found)


def _product_of(numbers: Iterable[int]) -> int:
    found = 1
    for one in numbers:
        found *= one
    return found
