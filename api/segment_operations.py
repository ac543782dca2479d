"""Segment definitions, and who is in them, over HTTP (SPEC S1, S2, S6)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from api.call import Call, Handler
from api.errors import bad_request, conflict
from api.paging import page_of
from api.profile_output import spelled_profile
from headrace.configuration_model import dotted
from headrace.errors import ConfigurationError
from headrace.segment_api import segment_from_api, segment_groups_of
from headrace.segments import Named, Segment, validate_segment
from profile_store import registry
from profile_store.membership import membership_of
from profile_store.profiles import read_profile
from profile_store.registry import StoredDomain
from profile_store.segment_registry import StoredSegment, find_segment, segments_of
from profile_store.store import Store

_LONG_AGO = datetime.fromtimestamp(0, UTC)
_NO_ACCOUNT = "000000000000"
_NO_REGION = "us-east-1"


def create_segment_definition(call: Call) -> dict[str, Any]:
    name, store = call.input["SegmentDefinitionName"], call.services.store
    domain = registry.get_domain(store, call.input["DomainName"])
    segment = checked_segment(store, domain, call.input)
    details = {"Tags": call.input["Tags"]} if "Tags" in call.input else {}
    if not call.services.engine.create_segment(segment, details):
        raise conflict(f"Segment definition {name} already exists.")
    return _item(call, find_segment(store, domain.name, name), ("SegmentType",))


def get_segment_definition(call: Call) -> dict[str, Any]:
    found = _named(call)
    return {**_item(call, found), "SegmentGroups": segment_groups_of(found.definition)}


def list_segment_definitions(call: Call) -> dict[str, Any]:
    """By name."""
    domain = registry.get_domain(call.services.store, call.input["DomainName"])
    found = sorted(segments_of(call.services.store, domain.name), key=lambda one: one.name)
    page, token = page_of(call, found, lambda one: one.name)
    return {"Items": [_item(call, one) for one in page], "NextToken": token}


def delete_segment_definition(call: Call) -> dict[str, Any]:
    found = _named(call)
    if found.owner != "api":
        raise bad_request(f"Segment {found.name} is defined by a file, which `headrace apply` was given; the API leaves it alone.")
    call.services.engine.delete_segment(call.input["DomainName"], found.name)
    return {"Message": f"Segment definition {found.name} is deleted."}


def get_segment_membership(call: Call) -> dict[str, Any]:
    """Membership is never behind the profiles: it is computed with every change of them."""
    store, found = call.services.store, _named(call)
    domain = registry.get_domain(store, call.input["DomainName"])
    asked = [bytes.fromhex(one) for one in call.input["ProfileIds"]]
    members = membership_of(store, domain.name, domain.partitions, found.id, asked)
    failures = [
        {"ProfileId": one.hex(), "Message": "There is no such profile.", "Status": 404} for one, is_one in members.items() if is_one is None
    ]
    results = [_result(store, domain, one, is_one) for one, is_one in members.items() if is_one is not None]
    return {"SegmentDefinitionName": found.name, "Profiles": results, "Failures": failures, "LastComputedAt": datetime.now(UTC)}


def checked_segment(store: Store, domain: StoredDomain, request: dict[str, Any]) -> Segment:
    """Raises ConfigurationError: what is not supported, or does not fit the domain, by its place."""
    known = domain.definition.with_properties(one.as_property() for one in domain.schema.active)
    segment = segment_from_api(domain.name, request, {one.name for one in known.properties})
    named = Named({**{one.name: one.definition for one in segments_of(store, domain.name)}, segment.name: segment})
    problems = validate_segment(segment, {domain.name: known}, (), named)
    if problems:
        raise ConfigurationError([f"{dotted(one.path)}: {one.message}" for one in problems])
    return segment


def _result(store: Store, domain: StoredDomain, identifier: bytes, is_member: bool) -> dict[str, Any]:  # noqa: FBT001 - what was found
    profile = read_profile(store, domain, identifier) if is_member else None
    query = "PRESENT" if is_member else "ABSENT"
    return {"ProfileId": identifier.hex(), "QueryResult": query, "Profile": None if profile is None else spelled_profile(profile)}


def _named(call: Call) -> StoredSegment:
    domain = registry.get_domain(call.services.store, call.input["DomainName"])
    return find_segment(call.services.store, domain.name, call.input["SegmentDefinitionName"])


def _item(call: Call, stored: StoredSegment, without: tuple[str, ...] = ()) -> dict[str, Any]:
    region = call.services.settings.api.region or _NO_REGION
    domain, created = stored.definition.domain, stored.details.get("CreatedAt")
    item = {
        "SegmentDefinitionName": stored.name,
        "DisplayName": stored.definition.display_name or stored.name,
        "Description": stored.definition.description or None,
        "SegmentDefinitionArn": f"arn:aws:profile:{region}:{_NO_ACCOUNT}:domains/{domain}/segment-definitions/{stored.name}",
        "CreatedAt": datetime.fromisoformat(created) if created else _LONG_AGO,
        "Tags": stored.details.get("Tags"),
        "SegmentType": "CLASSIC",
    }
    return {name: value for name, value in item.items() if name not in without}


HANDLERS: dict[str, Handler] = {
    "CreateSegmentDefinition": create_segment_definition,
    "GetSegmentDefinition": get_segment_definition,
    "ListSegmentDefinitions": list_segment_definitions,
    "DeleteSegmentDefinition": delete_segment_definition,
    "GetSegmentMembership": get_segment_membership,
}
