"""Every operation of the API as somebody calls it by boto3: once as he should, and in ways that are refused. Who may not call it is refused the first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.uploaded import FIELDS

Members = dict[str, Any]
BAD, GONE, TAKEN = (400, "BadRequestException"), (404, "ResourceNotFoundException"), (409, "ConflictException")
NOWHERE: Members = {"DomainName": "nowhere"}
NO_NAME: Members = {"DomainName": "a.b"}
GROUPS: Members = {
    "Groups": [{"Dimensions": [{"ProfileAttributes": {"AccountNumber": {"DimensionType": "BEGINS_WITH", "Values": ["A"]}}}]}],
    "Include": "ALL",
}
NO_GROUPS: Members = {
    "Groups": [{"Dimensions": [{"ProfileAttributes": {"Attributes": {"shoe": {"DimensionType": "EQUAL", "Values": ["1"]}}}}]}]
}


@dataclass(frozen=True)
class There:
    """What there is to ask for, in one domain. `job`: was not uploaded for; `uploaded`: may be started; `bucket`: for snapshots."""

    domain: str
    spare_domain: str
    job: str
    uploaded: str
    over: str
    profile: str
    segment: str
    spare_segment: str
    estimate: str
    snapshot: str
    bucket: str


@dataclass(frozen=True)
class Case:
    """`good`: members of a call that is done; `bad`: what is put in their place, and how that is refused."""

    good: Callable[[There], Members]
    bad: Callable[[There], list[tuple[Members, tuple[int, str]]]]


def _of_domain(good: Callable[[There], Members], bad: Callable[[There], list[tuple[Members, tuple[int, str]]]]) -> Case:
    """Of one that is there."""
    return Case(
        lambda there: {"DomainName": there.domain, **good(there)},
        lambda there: [(NOWHERE, GONE), (NO_NAME, BAD), *bad(there)],
    )


def _of_job(job: Callable[[There], str], bad: Callable[[There], list[tuple[Members, tuple[int, str]]]]) -> Case:
    return _of_domain(
        lambda there: {"JobId": job(there)},
        lambda there: [({"JobId": "0" * 32}, GONE), ({"JobId": "a.b"}, BAD), *bad(there)],
    )


def _of_segment(name: Callable[[There], str], more: Callable[[There], Members], bad: list[tuple[Members, tuple[int, str]]]) -> Case:
    return _of_domain(
        lambda there: {"SegmentDefinitionName": name(there), **more(there)},
        lambda _there: [({"SegmentDefinitionName": "nobody"}, GONE), ({"SegmentDefinitionName": "a b"}, BAD), *bad],
    )


def _nothing(_there: There) -> Members:
    return {}


PAGES: list[tuple[Members, tuple[int, str]]] = [({"MaxResults": 0}, BAD), ({"NextToken": "forged"}, BAD)]
IDS: list[tuple[Members, tuple[int, str]]] = [
    ({"ProfileIds": ["nobody"]}, BAD),
    ({"ProfileIds": ["1" * 32] * 101}, BAD),
    ({"ProfileIds": []}, BAD),
]

CASES: Mapping[str, Case] = {
    "ListDomains": Case(_nothing, lambda _there: PAGES),
    "GetDomain": _of_domain(_nothing, lambda _there: []),
    "CreateDomain": Case(
        lambda there: {"DomainName": f"{there.domain}-made", "DefaultExpirationDays": 1},
        lambda there: [
            (NO_NAME, BAD),
            ({"DomainName": there.domain}, BAD),
            ({"DefaultExpirationDays": 0}, BAD),
            ({"Matching": {"Enabled": True}}, BAD),
        ],
    ),
    "DeleteDomain": Case(lambda there: {"DomainName": there.spare_domain}, lambda _there: [(NOWHERE, GONE), (NO_NAME, BAD)]),
    "CreateSegmentDefinition": _of_domain(
        lambda _there: {"SegmentDefinitionName": "made", "DisplayName": "Made", "SegmentGroups": GROUPS},
        lambda there: [
            ({"SegmentDefinitionName": there.segment}, TAKEN),
            ({"SegmentDefinitionName": "a b"}, BAD),
            ({"DisplayName": ""}, BAD),
            ({"SegmentGroups": NO_GROUPS}, BAD),
        ],
    ),
    "GetSegmentDefinition": _of_segment(lambda there: there.segment, _nothing, []),
    "ListSegmentDefinitions": _of_domain(_nothing, lambda _there: PAGES),
    "DeleteSegmentDefinition": _of_segment(lambda there: there.spare_segment, _nothing, []),
    "GetSegmentMembership": _of_segment(lambda there: there.segment, lambda there: {"ProfileIds": [there.profile]}, IDS),
    "CreateSegmentEstimate": _of_domain(
        lambda _there: {"SegmentQuery": GROUPS},
        lambda _there: [({"SegmentQuery": NO_GROUPS}, BAD), ({"SegmentSqlQuery": "SELECT 1"}, BAD)],
    ),
    "GetSegmentEstimate": _of_domain(
        lambda there: {"EstimateId": there.estimate},
        lambda there: [({"EstimateId": "0" * 32}, GONE), ({"EstimateId": there.snapshot}, GONE)],
    ),
    "CreateSegmentSnapshot": _of_segment(
        lambda there: there.segment,
        lambda there: {"DataFormat": "CSV", "DestinationUri": f"s3://{there.bucket}/"},
        [({"DataFormat": "XML"}, BAD), ({"DestinationUri": "s3://secret/"}, BAD), ({"DestinationUri": "file:///etc"}, BAD)],
    ),
    "GetSegmentSnapshot": _of_segment(
        lambda there: there.segment, lambda there: {"SnapshotId": there.snapshot}, [({"SnapshotId": "0" * 32}, GONE)]
    ),
    "SearchProfiles": _of_domain(
        lambda _there: {"KeyName": "_account", "Values": ["A1"]},
        lambda _there: [*PAGES, ({"KeyName": "_caseId"}, BAD), ({"Values": ["x"] * 1_001}, BAD)],
    ),
    "BatchGetProfile": _of_domain(lambda there: {"ProfileIds": [there.profile]}, lambda _there: IDS),
    "DeleteProfile": _of_domain(
        lambda there: {"ProfileId": there.profile},
        lambda _there: [({"ProfileId": "1" * 32}, GONE), ({"ProfileId": "0" * 32}, GONE), ({"ProfileId": "nobody"}, BAD)],
    ),
    "CreateUploadJob": _of_domain(
        lambda _there: {"DisplayName": "assets", "Fields": FIELDS, "UniqueKey": "asset_id"},
        lambda _there: [
            ({"UniqueKey": "nobody"}, BAD),
            ({"DataExpiry": 1_099}, BAD),
            ({"Fields": {"a": {"Source": "a", "Target": "_profile.AssetName"}}}, BAD),
        ],
    ),
    "GetUploadJobPath": _of_job(lambda there: there.job, lambda there: [({"JobId": there.over}, BAD)]),
    "StartUploadJob": _of_job(lambda there: there.uploaded, lambda there: [({"JobId": there.job}, BAD), ({"JobId": there.over}, BAD)]),
    "GetUploadJob": _of_job(lambda there: there.job, lambda _there: [({"JobId": "0" * 31}, BAD)]),
    "ListUploadJobs": _of_domain(_nothing, lambda _there: PAGES),
    "StopUploadJob": _of_job(lambda there: there.job, lambda there: [({"JobId": there.over}, BAD)]),
}
"""Operation → its case, in an order in which none takes away what a later one asks for."""
