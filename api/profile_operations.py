"""Profiles over HTTP: found, read, erased (SPEC P2), so that a client can see what it loaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from api.call import Call, Handler
from api.errors import not_found
from api.paging import scope_of
from api.profile_output import spelled_profile
from api.search_keys import PROFILE_ID, Combination, as_segment, combinations_of, refuse_too_many
from headrace.address import address_of, profile_identifier_of
from headrace.cells import CellFormat, read_identifier
from headrace.outcomes import Reason
from profile_store import registry
from profile_store.profiles import StoredProfile, read_profile
from profile_store.registry import StoredDomain
from profile_store.store import Store

ERASING_SECONDS = 15.0
_USUAL_PAGE = 20


def search_profiles(call: Call) -> dict[str, Any]:
    asked = [(call.input["KeyName"], call.input["Values"])]
    asked += [(one["KeyName"], one["Values"]) for one in call.input.get("AdditionalSearchKeys", ())]
    refuse_too_many(asked)
    domain = registry.get_domain(call.services.store, call.input["DomainName"])
    if len(asked) == 1 and asked[0][0] == PROFILE_ID:
        return {"Items": [spelled_profile(one) for one in _of_ids(call.services.store, domain, asked[0][1])]}
    every_key = call.input.get("LogicalOperator") == "AND"
    found = combinations_of(domain, asked, every_key=every_key)
    scope = scope_of(call, f"{every_key} {asked}")
    start = call.services.tokens.read(scope, call.input["NextToken"]) if "NextToken" in call.input else ""
    most = call.input.get("MaxResults", _USUAL_PAGE)
    if not found:
        return {"Items": []}
    if not start and len(asked) == 1 and (located := _located(call.services.store, domain, found)) is not None and len(located) <= most:
        return {"Items": [spelled_profile(one) for one in located]}
    some, behind = call.services.engine.search(as_segment(domain, found), start, most)
    return {"Items": [spelled_profile(one) for one in some], "NextToken": behind and call.services.tokens.sign(scope, behind)}


def batch_get_profile(call: Call) -> dict[str, Any]:
    domain = registry.get_domain(call.services.store, call.input["DomainName"])
    profiles, errors = [], []
    for identifier in dict.fromkeys(call.input["ProfileIds"]):
        found = read_profile(call.services.store, domain, bytes.fromhex(identifier))
        if found is None:
            errors.append({"Code": "ResourceNotFoundException", "Message": "There is no such profile.", "ProfileId": identifier})
        else:
            profiles.append(spelled_profile(found))
    return {"Profiles": profiles, "Errors": errors}


def delete_profile(call: Call) -> dict[str, Any]:
    """An erasure, behind what was registered before it: it leaves the store, its addresses, the segments and the rejects."""
    domain = registry.get_domain(call.services.store, call.input["DomainName"])
    address = bytes.fromhex(call.input["ProfileId"])
    if read_profile(call.services.store, domain, address) is None:
        raise not_found(f"Domain {domain.name} has no such profile.")
    if call.services.engine.erase(domain.name, address, ERASING_SECONDS):
        return {"Message": "The profile is erased."}
    return {"Message": "The profile is being erased, behind imports that are going on."}


def _located(store: Store, domain: StoredDomain, combinations: Iterable[Combination]) -> list[StoredProfile] | None:
    """By addresses, where each combination is of one property, and that is an identifier; else None."""
    found: dict[str, StoredProfile] = {}
    for combination in combinations:
        stored = domain.schema.find(combination[0].property)
        if stored is None or not stored.identifier or len(combination) > 1:
            return None
        for text in combination[0].values:
            value = read_identifier(stored.type, text, CellFormat())
            if value is None or isinstance(value, Reason):
                continue
            profile = read_profile(store, domain, address_of(bytes.fromhex(domain.address_key), stored.name, value))
            if profile is not None:
                found[profile.identifier] = profile
    return list(found.values())


def _of_ids(store: Store, domain: StoredDomain, values: Sequence[str]) -> list[StoredProfile]:
    asked = filter(None, map(profile_identifier_of, dict.fromkeys(values)))
    return [one for identifier in asked if (one := read_profile(store, domain, identifier)) is not None]


HANDLERS: dict[str, Handler] = {
    "SearchProfiles": search_profiles,
    "BatchGetProfile": batch_get_profile,
    "DeleteProfile": delete_profile,
}
