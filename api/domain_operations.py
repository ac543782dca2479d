"""Domains over HTTP (SPEC U14). A domain of the API has the standard fields of its model, and is the API's own: `apply` leaves it alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from api.call import Call, Handler
from api.errors import bad_request
from api.paging import page_of
from api.upload_operations import remove_uploads
from headrace.domains import GROUP_MARK
from headrace.outcomes import Outcomes
from headrace.standard_fields import standard_domain
from headrace.upload_jobs import results_of
from profile_store import registry, retirement, sequence, upload_jobs
from profile_store.registry import StoredDomain

_LONG_AGO = datetime.fromtimestamp(0, UTC)
_NOT_DONE = ("DefaultEncryptionKey", "DeadLetterQueueUrl")
_NOT_ENABLED = ("Matching", "RuleBasedMatching", "DataStore")


def list_domains(call: Call) -> dict[str, Any]:
    """Those that the principal may list, by name."""
    names = [
        name for name in registry.domain_names(call.services.store) if GROUP_MARK not in name and call.principal.may(call.operation, name)
    ]
    page, token = page_of(call, names, str)
    found = (registry.find_domain(call.services.store, name) for name in page)
    return {"Items": [_item(one) for one in found if one is not None], "NextToken": token}


def get_domain(call: Call) -> dict[str, Any]:
    stored = registry.get_domain(call.services.store, call.input["DomainName"])
    return {**_item(stored), "DefaultExpirationDays": stored.details.get("DefaultExpirationDays")}


def create_domain(call: Call) -> dict[str, Any]:
    asked = call.input
    refused = [name for name in _NOT_DONE if asked.get(name)]
    refused += [name for name in _NOT_ENABLED if asked.get(name, {}).get("Enabled")]
    if refused:
        raise bad_request(f"Headrace does not do {', '.join(refused)}; leave it out.")
    now = datetime.now(UTC)
    details = {
        "CreatedAt": now.isoformat(),
        "DefaultExpirationDays": asked["DefaultExpirationDays"],
        **({"Tags": asked["Tags"]} if "Tags" in asked else {}),
    }
    if not call.services.engine.create_domain(standard_domain(asked["DomainName"], call.services.settings.api.partitions), details):
        raise bad_request(f"There is a domain {asked['DomainName']} already.")
    return {**_members(asked["DomainName"], details), "DefaultExpirationDays": asked["DefaultExpirationDays"]}


def delete_domain(call: Call) -> dict[str, Any]:
    """Asked again after a process died in the middle of it, it is finished."""
    name, store = call.input["DomainName"], call.services.store
    if registry.find_domain(store, name) is None and retirement.finish_one(store, name):
        return {"Message": f"Domain {name} is deleted."}
    if registry.get_domain(store, name).owner != "api":
        raise bad_request(f"Domain {name} is defined by a file, which `headrace apply` was given; the API leaves it alone.")
    jobs = upload_jobs.open_jobs(store, name)
    if any(job.status == "IN_PROGRESS" for job in jobs):
        raise bad_request(f"An upload job of domain {name} is in progress; stop it, or delete the domain then.")
    if sequence.last_number(store, name) != sequence.domain_floor(store, name):
        raise bad_request(f"An import of domain {name} is not over yet; delete it then.")
    # Before the domain goes: whoever dies in between leaves nothing in S3 that nobody knows of.
    for job in jobs:
        if job.is_over or upload_jobs.end(store, job, "STOPPED", results_of(Outcomes())).done:
            remove_uploads(call, job)
    if not call.services.engine.delete_domain(name):
        raise bad_request(f"An import or upload job of domain {name} is not over yet, or a file has just come for one; delete it then.")
    return {"Message": f"Domain {name} is deleted."}


def _item(stored: StoredDomain) -> dict[str, Any]:
    return _members(stored.name, stored.details)


def _members(name: str, details: dict[str, Any]) -> dict[str, Any]:
    """What every answer about a domain has. A domain of a file has no details: when it was made, nobody noted."""
    created = details.get("CreatedAt")
    moment = datetime.fromisoformat(created) if created else _LONG_AGO
    return {"DomainName": name, "CreatedAt": moment, "LastUpdatedAt": moment, "Tags": details.get("Tags")}


HANDLERS: dict[str, Handler] = {
    "ListDomains": list_domains,
    "GetDomain": get_domain,
    "CreateDomain": create_domain,
    "DeleteDomain": delete_domain,
}
