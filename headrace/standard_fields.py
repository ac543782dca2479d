"""The fields of the customer-profiles API as properties of a domain (SPEC U3, U14).

A field's property has the field's name; of an address's field it is `Address.City`, of a custom attribute `Attributes.<name>`. Names, order and error are
the source text's; lengths are those of the API's model, which a test compares.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from headrace.domains import Domain, Property, PropertyType
from headrace.names import PropertyName

TARGET_PREFIX = "_profile."
ATTRIBUTES_PREFIX = "Attributes."
LONGEST, LONGEST_ADDITIONAL = 255, 1000
ADDRESSES = ("Address", "ShippingAddress", "MailingAddress", "BillingAddress")
ADDRESS_FIELDS = (
    "City",
    "Country",
    "State",
    "PostalCode",
    "Address1",
    "Address2",
    "Address3",
    "Address4",
    "County",
    "Province",
)
_PROPERTY_NAME = TypeAdapter(PropertyName)


@dataclass(frozen=True, slots=True)
class StandardField:
    """`name`: of the property too. `longest`: characters that a value may have."""

    name: str
    longest: int = LONGEST
    type: PropertyType = "text"

    def as_property(self) -> Property:
        return Property(name=self.name, type=self.type)


STANDARD_FIELDS: tuple[StandardField, ...] = (
    StandardField("AccountNumber"),
    StandardField("BusinessName"),
    StandardField("FirstName"),
    StandardField("LastName"),
    StandardField("MiddleName"),
    StandardField("EmailAddress"),
    StandardField("PersonalEmailAddress"),
    StandardField("BusinessEmailAddress"),
    StandardField("PhoneNumber"),
    StandardField("MobilePhoneNumber"),
    StandardField("HomePhoneNumber"),
    StandardField("BusinessPhoneNumber"),
    StandardField("AdditionalInformation", LONGEST_ADDITIONAL),
    StandardField("PartyTypeString"),
    StandardField("GenderString"),
    StandardField("BirthDate", type="date"),
    *(StandardField(f"{address}.{field}") for address in ADDRESSES for field in ADDRESS_FIELDS),
)
"""What an upload job may write. A date is stored as one, so that segments can compare it."""

PROFILE_TYPE = StandardField("ProfileType")
"""Segments may ask for it; no upload writes it."""

_BY_NAME = {one.name: one for one in STANDARD_FIELDS}


def standard_domain(name: str, partitions: int = 32) -> Domain:
    """The domain that CreateDomain makes. No field identifies a profile yet: the target of an upload job's unique key becomes an identifier (SPEC U4).

    Raises pydantic's ValidationError for a name that is none.
    """
    properties = tuple(one.as_property() for one in (*STANDARD_FIELDS, PROFILE_TYPE))
    return Domain(version=1, kind="domain", name=name, partitions=partitions, properties=properties)


def field_of_target(target: str) -> StandardField | None:
    """The field that a target (`_profile.Address.City`, `_profile.Attributes.tier`) names; None where there is no such."""
    name = target.removeprefix(TARGET_PREFIX)
    if name == target:
        return None
    if name in _BY_NAME:
        return _BY_NAME[name]
    attribute = name.removeprefix(ATTRIBUTES_PREFIX)
    if attribute in ("", name) or len(attribute) > LONGEST:
        return None
    try:
        return StandardField(ATTRIBUTES_PREFIX + attribute) if _PROPERTY_NAME.validate_python(name) == name else None
    except ValidationError:
        return None


def invalid_target(target: str) -> str:
    """What the API says of a target that names no field (SPEC U3)."""
    return f"Provided nested target is invalid. Found {target}, expected [{', '.join(_BY_NAME)}]"
