"""A segment as the API spells it: `SegmentGroups` of the customer-profiles model, its other spelling being `segments/<name>.yaml` (SPEC S2, S4).

A standard field is the property of its name, an address's field `Address.City`; `Attributes` are `Attributes.<name>`, or the property that is called
`<name>` where the domain has no such: so segments over the properties of a file can be said too. What is not supported is refused by name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from headrace.configuration_model import dotted
from headrace.errors import ConfigurationError
from headrace.problems import problems_of
from headrace.segments import Dimension, Segment, SegmentGroup

STANDARD_FIELDS = (
    "AccountNumber",
    "AdditionalInformation",
    "FirstName",
    "LastName",
    "MiddleName",
    "GenderString",
    "PartyTypeString",
    "BirthDate",
    "PhoneNumber",
    "BusinessName",
    "BusinessPhoneNumber",
    "HomePhoneNumber",
    "MobilePhoneNumber",
    "EmailAddress",
    "PersonalEmailAddress",
    "BusinessEmailAddress",
    "ProfileType",
)
ADDRESSES = ("Address", "ShippingAddress", "MailingAddress", "BillingAddress")
ADDRESS_FIELDS = ("City", "Country", "County", "PostalCode", "Province", "State")
ATTRIBUTES = "Attributes"
_GROUP = ("Dimensions", "SourceSegments", "SourceType", "Type")

Document = Mapping[str, Any]


def segment_from_api(domain: str, request: Document, properties: Collection[str]) -> Segment:
    """Of the members of CreateSegmentDefinition; `properties`: names of those that the domain has.

    Raises ConfigurationError: what is not supported, or not as the model has it, by its member.
    """
    refused = [f"{name} is not supported" for name in ("SegmentSqlQuery", "SegmentSort") if name in request]
    if refused:
        raise ConfigurationError(refused)
    groups = _member(request, "SegmentGroups", dict)
    _refuse_others(groups, ("Groups", "Include"), "SegmentGroups")
    document = {
        "version": 1,
        "kind": "segment",
        "domain": domain,
        "name": request.get("SegmentDefinitionName"),
        "display_name": request.get("DisplayName", ""),
        "description": request.get("Description", ""),
        "groups": [_group(group, f"SegmentGroups.Groups[{at}]", properties) for at, group in enumerate(groups.get("Groups", ()))],
        "include": _lower(groups.get("Include", "ALL")),
    }
    try:
        return Segment.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError([f"{dotted(one.path)}: {one.message}" for one in problems_of(error, Segment)]) from None


def segment_groups_of(segment: Segment) -> dict[str, Any]:
    """`SegmentGroups`, a dimension for each comparison."""
    return {"Groups": [_spelled(group) for group in segment.groups], "Include": segment.include.upper()}


def _group(group: Document, where: str, properties: Collection[str]) -> dict[str, Any]:
    _refuse_others(group, _GROUP, where)
    dimensions = [
        one
        for at, dimension in enumerate(group.get("Dimensions", ()))
        for one in _dimensions(dimension, f"{where}.Dimensions[{at}]", properties)
    ]
    return {
        "dimensions": dimensions,
        "type": _lower(group.get("Type", "ALL")),
        "source_segments": [_member(one, "SegmentDefinitionName", str) for one in group.get("SourceSegments", ())],
        "source_type": _lower(group.get("SourceType", "ALL")),
    }


def _dimensions(dimension: Document, where: str, properties: Collection[str]) -> Iterator[dict[str, Any]]:
    """Several attributes in one dimension are combined as dimensions are."""
    _refuse_others(dimension, ("ProfileAttributes",), where)
    attributes = _member(dimension, "ProfileAttributes", dict)
    _refuse_others(attributes, (*STANDARD_FIELDS, *ADDRESSES, ATTRIBUTES), f"{where}.ProfileAttributes")
    for name, value in attributes.items():
        if name == ATTRIBUTES:
            for attribute, compared in value.items():
                full = f"{ATTRIBUTES}.{attribute}"
                yield _dimension(full if full in properties else attribute, compared, f"{where}.ProfileAttributes.{full}")
        elif name in ADDRESSES:
            _refuse_others(value, ADDRESS_FIELDS, f"{where}.ProfileAttributes.{name}")
            for field, compared in value.items():
                yield _dimension(f"{name}.{field}", compared, f"{where}.ProfileAttributes.{name}.{field}")
        else:
            yield _dimension(name, value, f"{where}.ProfileAttributes.{name}")


def _dimension(name: str, compared: Document, where: str) -> dict[str, Any]:
    _refuse_others(compared, ("DimensionType", "Values"), where)
    return {"property": name, "comparison": _lower(compared.get("DimensionType")), "values": compared.get("Values")}


def _spelled(group: SegmentGroup) -> dict[str, Any]:
    return {
        "Dimensions": [{"ProfileAttributes": _attribute(one)} for one in group.dimensions],
        "SourceSegments": [{"SegmentDefinitionName": name} for name in group.source_segments],
        "SourceType": group.source_type.upper(),
        "Type": group.type.upper(),
    }


def _attribute(one: Dimension) -> dict[str, Any]:
    compared = {"DimensionType": one.comparison.upper(), "Values": list(one.values)}
    first, _, rest = one.property.partition(".")
    if one.property in STANDARD_FIELDS:
        return {one.property: compared}
    if first in ADDRESSES and rest in ADDRESS_FIELDS:
        return {first: {rest: compared}}
    return {ATTRIBUTES: {rest if first == ATTRIBUTES and rest else one.property: compared}}


def _lower(value: object) -> object:
    """Enums of the API are upper case; anything else is told by the model."""
    return value.lower() if isinstance(value, str) and value.isupper() else value


def _member(document: Document, name: str, kind: type) -> Any:
    found = document.get(name)
    if not isinstance(found, kind):
        raise ConfigurationError([f"{name} is missing"])
    return found


def _refuse_others(document: Document, known: Collection[str], where: str) -> None:
    strangers = [f"{where}.{name} is not supported" for name in document if name not in known]
    if strangers:
        raise ConfigurationError(strangers)
