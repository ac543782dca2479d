"""The API's JSON and the YAML are two spellings of one model; what is not supported is refused by its name (SPEC S2, S4)."""

from __future__ import annotations

import copy
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from headrace.domains import Domain
from headrace.errors import ConfigurationError
from headrace.segment_api import ADDRESS_FIELDS, ADDRESSES, STANDARD_FIELDS, segment_from_api, segment_groups_of
from headrace.segments import Named, Segment, validate_segment

REQUEST: dict[str, Any] = {
    "DomainName": "retail",
    "SegmentDefinitionName": "loyal",
    "DisplayName": "Loyal",
    "SegmentGroups": {
        "Groups": [
            {
                "Dimensions": [
                    {"ProfileAttributes": {"FirstName": {"DimensionType": "BEGINS_WITH", "Values": ["A", "B"]}}},
                    {"ProfileAttributes": {"Address": {"City": {"DimensionType": "EXCLUSIVE", "Values": ["Lisbon"]}}}},
                    {"ProfileAttributes": {"Attributes": {"points": {"DimensionType": "GREATER_THAN_OR_EQUAL", "Values": ["500"]}}}},
                    {"ProfileAttributes": {"BirthDate": {"DimensionType": "BETWEEN", "Values": ["1970-01-01", "1979-12-31"]}}},
                ],
                "SourceSegments": [{"SegmentDefinitionName": "newcomers"}],
                "SourceType": "NONE",
                "Type": "ANY",
            }
        ],
        "Include": "ALL",
    },
}
PROPERTIES = {"FirstName": "text", "Address.City": "text", "Attributes.points": "number", "BirthDate": "date"}


def shape_of(name: str) -> Any:
    return botocore.session.get_session().get_service_model("customer-profiles").shape_for(name)


@pytest.mark.spec("S2", "S4")
def test_both_spellings_say_the_same() -> None:
    segment = segment_from_api("retail", REQUEST, PROPERTIES)
    assert segment_groups_of(segment) == REQUEST["SegmentGroups"]
    assert Segment.model_validate(segment.model_dump(mode="json")) == segment
    assert [one.property for one in segment.groups[0].dimensions] == list(PROPERTIES)
    assert (segment.groups[0].type, segment.groups[0].source_type, segment.include) == ("any", "none", "all")
    domain = Domain.model_validate(
        {
            "version": 1,
            "kind": "domain",
            "name": "retail",
            "properties": [{"name": name, "type": kind} for name, kind in PROPERTIES.items()],
        }
    )
    newcomers = segment.model_copy(update={"name": "newcomers", "groups": (segment.groups[0].model_copy(update={"source_segments": ()}),)})
    assert validate_segment(segment, {"retail": domain}, (), Named({"loyal": segment, "newcomers": newcomers})) == []


def test_what_is_spelled_is_what_the_api_takes() -> None:
    groups = segment_groups_of(segment_from_api("retail", REQUEST, PROPERTIES))
    assert not ParamValidator().validate(groups, shape_of("SegmentGroup")).has_errors()


@pytest.mark.spec("S4")
def test_every_member_of_the_apis_model_is_known() -> None:
    assert set(shape_of("ProfileAttributes").members) == {*STANDARD_FIELDS, *ADDRESSES, "Attributes"}
    assert set(shape_of("AddressDimension").members) == set(ADDRESS_FIELDS)


@pytest.mark.spec("S4")
def test_every_standard_field_and_every_field_of_the_four_addresses_is_a_property_of_its_own() -> None:
    compared = {"DimensionType": "INCLUSIVE", "Values": ["x"]}
    attributes: dict[str, dict[str, Any]] = {name: {name: compared} for name in STANDARD_FIELDS}
    attributes |= {f"{address}.{field}": {address: {field: compared}} for address in ADDRESSES for field in ADDRESS_FIELDS}
    request = copy.deepcopy(REQUEST)
    group = request["SegmentGroups"]["Groups"][0]
    group["Dimensions"] = [{"ProfileAttributes": one} for one in attributes.values()]
    segment = segment_from_api("retail", request, attributes)
    assert [one.property for one in segment.groups[0].dimensions] == list(attributes)
    assert segment_groups_of(segment) == request["SegmentGroups"]
    assert len(ADDRESSES) == 4


def test_an_attribute_is_a_property_of_that_name_where_there_is_no_other() -> None:
    segment = segment_from_api("retail", REQUEST, {"points"})
    assert segment.groups[0].dimensions[2].property == "points"


def added(request: Any, dimension: dict[str, Any]) -> None:
    request["SegmentGroups"]["Groups"][0]["Dimensions"].append(dimension)


@pytest.mark.spec("S2")
@pytest.mark.parametrize(
    ("member", "change"),
    [
        ("SegmentSort", lambda request: request.update(SegmentSort={"Attributes": []})),
        ("SegmentSqlQuery", lambda request: request.update(SegmentSqlQuery="SELECT 1")),
        ("CalculatedAttributes", lambda request: added(request, {"CalculatedAttributes": {"x": {}}})),
        ("ProfileAttributes.Shoes", lambda request: added(request, {"ProfileAttributes": {"Shoes": {}}})),
        ("comparison", lambda request: added(request, {"ProfileAttributes": {"LastName": {"DimensionType": "LIKE", "Values": ["x"]}}})),
    ],
)
def test_what_is_not_supported_is_refused_by_its_name(member: str, change: Any) -> None:
    request = copy.deepcopy(REQUEST)
    change(request)
    with pytest.raises(ConfigurationError, match=member.replace(".", r"\.")):
        segment_from_api("retail", request, PROPERTIES)
