"""Estimates of how many members a segment would have, and snapshots of who they are, over HTTP (SPEC S6)."""

from __future__ import annotations

import uuid
from typing import Any, cast

from api.call import Call, Handler
from api.computations import FAILED, RUNNING
from api.engine import SnapshotKind
from api.errors import bad_request, not_found
from api.segment_operations import checked_segment
from headrace.errors import ConfigurationError
from headrace.segments import Segment
from profile_store import registry
from profile_store.membership import live_pair
from profile_store.segment_registry import find_segment

ESTIMATE, SNAPSHOT = "estimate", "snapshot"
_RESERVED = "_headrace"
_STATES = {RUNNING: "IN_PROGRESS", FAILED: "FAILED"}


def create_segment_estimate(call: Call) -> dict[str, Any]:
    domain = registry.get_domain(call.services.store, call.input["DomainName"])
    definition = _estimated(call)
    about = {"Kind": ESTIMATE}
    identity = call.services.computations.start(
        domain.name, about, lambda _identity: {"Estimate": str(call.services.engine.estimate(definition))}
    )
    return {"DomainName": domain.name, "EstimateId": identity}


def get_segment_estimate(call: Call) -> dict[str, Any]:
    """Exact: every profile was looked at."""
    identity = call.input["EstimateId"]
    found = _found(call, identity, ESTIMATE)
    told = {name: found.get(name) for name in ("Status", "Estimate", "Message")}
    return {"DomainName": call.input["DomainName"], "EstimateId": identity, **told}


def create_segment_snapshot(call: Call) -> dict[str, Any]:
    """Of the members when it is written, soon after the call; as `<segment>-<snapshot id>.<format>` below the destination."""
    if call.input.get("EncryptionKey"):
        raise bad_request("Headrace does not do EncryptionKey; let the bucket encrypt what is written to it, and leave it out.")
    domain = registry.get_domain(call.services.store, call.input["DomainName"])
    segment = find_segment(call.services.store, domain.name, call.input["SegmentDefinitionName"])
    live_pair(call.services.store, domain.name, segment.id)
    bucket, prefix = _destination(call)
    kind = cast("SnapshotKind", call.input["DataFormat"].lower())
    about = {
        "Kind": SNAPSHOT,
        "Segment": segment.name,
        "DataFormat": call.input["DataFormat"],
        "DestinationUri": call.input["DestinationUri"],
    }

    def write(identity: str) -> dict[str, Any]:
        key = f"{prefix}{segment.name}-{identity}.{kind}"
        count = call.services.engine.snapshot(domain.name, segment.name, bucket, key, kind)
        return {"Message": f"{count:,} members in s3://{bucket}/{key}"}

    return {"SnapshotId": call.services.computations.start(domain.name, about, write)}


def get_segment_snapshot(call: Call) -> dict[str, Any]:
    identity = call.input["SnapshotId"]
    found = _found(call, identity, SNAPSHOT)
    if found["Segment"] != call.input["SegmentDefinitionName"]:
        raise _none(SNAPSHOT)
    return {
        "SnapshotId": identity,
        "Status": _STATES.get(found["Status"], "COMPLETED"),
        "StatusMessage": found.get("Message"),
        "DataFormat": found["DataFormat"],
        "DestinationUri": found["DestinationUri"],
    }


def _estimated(call: Call) -> Segment:
    """Under a name that no segment has."""
    if "SegmentSqlQuery" in call.input:
        raise bad_request("SegmentSqlQuery is not supported; write SegmentQuery.")
    if "SegmentQuery" not in call.input:
        raise bad_request("SegmentQuery is missing.")
    domain = registry.get_domain(call.services.store, call.input["DomainName"])
    request = {"SegmentDefinitionName": f"estimate-{uuid.uuid4().hex}", "SegmentGroups": call.input["SegmentQuery"]}
    try:
        return checked_segment(call.services.store, domain, request)
    except ConfigurationError as error:
        raise bad_request("; ".join(one.replace("SegmentGroups", "SegmentQuery", 1) for one in error.problems)) from None


def _destination(call: Call) -> tuple[str, str]:
    """Bucket, and what keys begin with. Only into buckets that the operator has named."""
    uri = call.input.get("DestinationUri", "")
    bucket, _, directory = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise bad_request("DestinationUri must be like s3://bucket/directory.")
    if bucket not in call.services.settings.api.snapshot_bucket_names:
        raise bad_request(f"Snapshots may not be written to bucket {bucket}: HEADRACE_API_SNAPSHOT_BUCKETS of the API does not name it.")
    parts = [part for part in directory.split("/") if part]
    if _RESERVED in parts or ".." in parts or "." in parts:
        raise bad_request(f"DestinationUri has a directory that is not for snapshots ({_RESERVED}, '.' or '..').")
    return bucket, "".join(f"{part}/" for part in parts)


def _found(call: Call, identity: str, kind: str) -> dict[str, Any]:
    domain = registry.get_domain(call.services.store, call.input["DomainName"])
    found = call.services.computations.find(domain.name, identity) if identity.isalnum() else None
    if found is None or found["Kind"] != kind:
        raise _none(kind)
    return found


def _none(kind: str) -> Exception:
    return not_found(f"There is no such {kind}; it may be older than 30 days.")


HANDLERS: dict[str, Handler] = {
    "CreateSegmentEstimate": create_segment_estimate,
    "GetSegmentEstimate": get_segment_estimate,
    "CreateSegmentSnapshot": create_segment_snapshot,
    "GetSegmentSnapshot": get_segment_snapshot,
}
