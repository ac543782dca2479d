"""Segments and profiles over HTTP, by an unchanged boto3 client, over the real path (SPEC S1, S2, S4, S6, P2)."""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow.orc
import pytest

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.connections import Connection
from headrace.errors import ConfigurationError
from headrace.segments import Segment
from headrace.yaml_source import Configuration
from object_store.access import connect
from profile_store.computations import put_computation
from profile_store.segment_registry import find_segment
from streaming.importing.apply import apply_configuration, plan_configuration
from streaming.segments.materialize import materialize
from tests.api_client import READER, RETAILER, RunningApi, running_api
from tests.files import csv_bytes
from tests.integration.test_api_domains import message, refusal
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually
from tests.servers.valkey import flush

BUCKET = "api-segments"
COLUMNS = ("id", "first", "last", "mail", "city", "born", "tier")
PEOPLE = [
    {
        "id": f"{number + 1:02x}" * 16,  # of every partition
        "first": ("Ann", "Bob", "Zoë")[number % 3],
        "last": ("Smith", "de Vries", "")[number % 7 % 3],
        "mail": f"P{number}@example.com",
        "city": ("Delft", "Leiden")[number % 2],
        "born": f"19{50 + number}-06-15",
        "tier": "gold" if number % 5 == 0 else "",
    }
    for number in range(40)
]


@pytest.fixture(scope="module")
def real(valkey_server: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server) -> Pipeline:
    flush(valkey_server)
    made = pipeline(valkey_server.url, tansu_server.bootstrap_servers, access_to(s3_server))
    made.make_bucket(BUCKET)
    return made


@pytest.fixture(scope="module")
def api(real: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    with running_api(real, tmp_path_factory.mktemp("api"), snapshot_buckets=f"{BUCKET}, other") as running:
        yield running


@pytest.fixture(scope="module")
def domain(api: RunningApi, real: Pipeline) -> Iterator[str]:
    """A domain of the API with forty people, and a worker; for all tests of this file, so each has names of its own."""
    name = f"d{uuid.uuid4().hex[:12]}"
    api.client().create_domain(DomainName=name, DefaultExpirationDays=30)
    with real.workers(name):
        load(real, name)
        yield name


def load(real: Pipeline, domain: str) -> None:
    mapped = {
        "first": "FirstName",
        "last": "LastName",
        "mail": "EmailAddress",
        "city": "Address.City",
        "born": "BirthDate",
        "tier": "Attributes.tier",
    }
    goal = {
        "kind": "import_profiles",
        "name": "people",
        "domain": domain,
        "source": {"bucket": BUCKET, "files": "people.csv"},
        "link": [{"column": "id", "property": "profile_identifier"}],
        "allow_creation": True,
        "mappings": [{"column": column, "property": name} for column, name in mapped.items()],
    }
    real.put(BUCKET, "people.csv", csv_bytes(PEOPLE, COLUMNS))
    connection = Connection.model_validate({"version": 1, "kind": "connection", "name": "crm", "goals": [goal]})
    apply_configuration(real.context, plan_configuration(real.store, Configuration({}, {"crm": connection})), "")
    assert [one.outcomes.created for one in real.run(connection)] == [len(PEOPLE)]


def groups(*attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Groups": [{"Dimensions": [{"ProfileAttributes": one} for one in attributes], **more}], "Include": "ALL"}


def compared(kind: str, *values: str) -> dict[str, Any]:
    return {"DimensionType": kind, "Values": list(values)}


ANNS = groups({"FirstName": compared("INCLUSIVE", "Ann")})


def create(api: RunningApi, domain: str, name: str, asked: dict[str, Any], **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = api.client().create_segment_definition(
        DomainName=domain, SegmentDefinitionName=name, DisplayName=f"The {name}", SegmentGroups=asked, **more
    )
    return made


def build(real: Pipeline, domain: str) -> None:
    """What the deployment does that the API has started."""
    eventually(lambda: not materialize(real.store, domain).waiting, within=20, what="every segment is built")


@pytest.mark.spec("S1")
def test_a_segment_definition_comes_and_goes(api: RunningApi, domain: str) -> None:
    client = api.client()
    made = create(api, domain, "anns", ANNS, Description="All Anns", Tags={"team": "crm"})
    assert made["SegmentDefinitionArn"].endswith(f"domains/{domain}/segment-definitions/anns")
    assert abs((datetime.now(UTC) - made["CreatedAt"]).total_seconds()) < 60
    found = client.get_segment_definition(DomainName=domain, SegmentDefinitionName="anns")
    assert found["SegmentGroups"]["Groups"][0]["Dimensions"] == [{"ProfileAttributes": {"FirstName": compared("INCLUSIVE", "Ann")}}]
    assert (found["DisplayName"], found["Description"], found["Tags"]) == ("The anns", "All Anns", {"team": "crm"})
    assert found["CreatedAt"] == made["CreatedAt"]
    asked = {"DomainName": domain, "SegmentDefinitionName": "anns"}
    assert refusal(client.create_segment_definition, **asked, DisplayName="A", SegmentGroups=ANNS) == (409, "ConflictException")
    client.delete_segment_definition(**asked)
    assert refusal(client.get_segment_definition, **asked) == (404, "ResourceNotFoundException")
    assert refusal(client.delete_segment_definition, **asked) == (404, "ResourceNotFoundException")
    assert create(api, domain, "anns", groups({"FirstName": compared("INCLUSIVE", "Bob")}))["SegmentDefinitionName"] == "anns"
    assert "anns" in [one["SegmentDefinitionName"] for one in client.list_segment_definitions(DomainName=domain)["Items"]]


@pytest.mark.spec("S1")
def test_segments_are_listed_in_pages_of_their_domain(api: RunningApi, domain: str) -> None:
    client = api.client()
    for name in ("paged-2", "paged-1", "paged-3"):
        create(api, domain, name, ANNS)
    names = [one["SegmentDefinitionName"] for one in client.list_segment_definitions(DomainName=domain)["Items"]]
    assert names == sorted(names)
    first = client.list_segment_definitions(DomainName=domain, MaxResults=2)
    second = client.list_segment_definitions(DomainName=domain, MaxResults=500, NextToken=first["NextToken"])
    assert [one["SegmentDefinitionName"] for page in (first, second) for one in page["Items"]] == names
    assert "NextToken" not in second
    other = f"{domain}-2"
    client.create_domain(DomainName=other, DefaultExpirationDays=1)
    assert refusal(client.list_segment_definitions, DomainName=other, NextToken=first["NextToken"]) == (400, "BadRequestException")


@pytest.mark.spec("S2", "S4")
def test_definitions_that_are_not_done_are_refused_by_name(api: RunningApi, domain: str) -> None:
    client = api.client()

    def said(**members: Any) -> str:
        return message(client.create_segment_definition, DomainName=domain, SegmentDefinitionName="s", DisplayName="S", **members)

    calculated = {"Groups": [{"Dimensions": [{"CalculatedAttributes": {"spend": compared("INCLUSIVE", "1")}}]}]}
    assert "CalculatedAttributes is not supported" in said(SegmentGroups=calculated)
    assert "SegmentSort is not supported" in said(SegmentGroups=ANNS, SegmentSort={"Attributes": [{"Name": "a", "Order": "ASC"}]})
    assert "SegmentSqlQuery is not supported" in said(SegmentSqlQuery="SELECT 1")
    assert "SegmentGroups is missing" in said()
    assert "no property 'shoe'" in said(SegmentGroups=groups({"Attributes": {"shoe": compared("EQUAL", "1")}}))
    assert "is not a date" in said(SegmentGroups=groups({"BirthDate": compared("BEFORE", "soon")}))
    assert "no segment 'nobody'" in said(SegmentGroups={"Groups": [{"SourceSegments": [{"SegmentDefinitionName": "nobody"}]}]})
    assert "SegmentGroups.Groups[0].Type must be one of" in said(
        SegmentGroups=groups({"FirstName": compared("INCLUSIVE", "A")}, Type="SOME")
    )
    assert refusal(api.client(READER).create_segment_definition, DomainName=domain, SegmentDefinitionName="s", DisplayName="S") == (
        403,
        "AccessDeniedException",
    )
    create(api, domain, "source", ANNS)
    create(api, domain, "made", {"Groups": [{"SourceSegments": [{"SegmentDefinitionName": "source"}]}]})
    assert "made of it" in message(client.delete_segment_definition, DomainName=domain, SegmentDefinitionName="source")


@pytest.mark.spec("S6")
def test_membership_of_profiles(api: RunningApi, real: Pipeline, domain: str) -> None:
    client = api.client()
    golden = {"Attributes": {"tier": compared("INCLUSIVE", "gold")}}
    create(api, domain, "golden-delft", groups({"Address": {"City": compared("INCLUSIVE", "Delft")}}, golden))
    asked = {"DomainName": domain, "SegmentDefinitionName": "golden-delft"}
    build(real, domain)
    ids = [one["id"] for one in PEOPLE]
    found = client.get_segment_membership(**asked, ProfileIds=[*ids, "f" * 32])
    results = {one["ProfileId"]: one for one in found["Profiles"]}
    assert {name for name, one in results.items() if one["QueryResult"] == "PRESENT"} == {
        one["id"] for one in PEOPLE if one["city"] == "Delft" and one["tier"] == "gold"
    }
    assert results[ids[0]]["Profile"]["Address"] == {"City": "Delft"}
    assert results[ids[0]]["Profile"]["Attributes"] == {"tier": "gold"}
    assert "Profile" not in results[ids[1]]
    assert [(one["ProfileId"], one["Status"]) for one in found["Failures"]] == [("f" * 32, 404)]
    assert refusal(client.get_segment_membership, **asked, ProfileIds=ids * 3) == (400, "BadRequestException")
    assert refusal(client.get_segment_membership, **asked, ProfileIds=["nobody"]) == (400, "BadRequestException")


@pytest.mark.spec("S6")
def test_estimates(api: RunningApi, domain: str) -> None:
    client = api.client()
    born = groups({"BirthDate": compared("BEFORE", "1960-01-01")}, {"FirstName": compared("BEGINS_WITH", "Zo", "A")})
    made = client.create_segment_estimate(DomainName=domain, SegmentQuery=born)
    asked = {"DomainName": domain, "EstimateId": made["EstimateId"]}
    wanted = sum(one["born"] < "1960" and one["first"] in ("Ann", "Zoë") for one in PEOPLE)
    eventually(lambda: client.get_segment_estimate(**asked)["Status"] == "SUCCEEDED", within=20, what="the estimate")
    assert client.get_segment_estimate(**asked)["Estimate"] == str(wanted)
    assert refusal(client.get_segment_estimate, DomainName=domain, EstimateId="0" * 32) == (404, "ResourceNotFoundException")
    assert "SegmentQuery is missing" in message(client.create_segment_estimate, DomainName=domain)
    assert "SegmentSqlQuery" in message(client.create_segment_estimate, DomainName=domain, SegmentSqlQuery="SELECT 1")
    # One whose process has died does not stay RUNNING for ever.
    put_computation(api.services.store, domain, "ab" * 16, {"Kind": "estimate", "Status": "RUNNING"}, 60)
    assert client.get_segment_estimate(DomainName=domain, EstimateId="ab" * 16)["Status"] == "FAILED"


@pytest.mark.spec("S6")
def test_snapshots(api: RunningApi, real: Pipeline, domain: str) -> None:
    client = api.client()
    create(api, domain, "written", ANNS)
    asked = {"DomainName": domain, "SegmentDefinitionName": "written"}
    assert refusal(client.create_segment_snapshot, **asked, DataFormat="CSV", DestinationUri=f"s3://{BUCKET}/out") == (
        400,
        "BadRequestException",
    )
    build(real, domain)
    wanted = {one["id"] for one in PEOPLE if one["first"] == "Ann"}
    for kind in ("CSV", "JSONL", "ORC"):
        made = client.create_segment_snapshot(**asked, DataFormat=kind, DestinationUri=f"s3://{BUCKET}/out/")
        look = {**asked, "SnapshotId": made["SnapshotId"]}
        eventually(lambda look=look: client.get_segment_snapshot(**look)["Status"] == "COMPLETED", within=20, what="the snapshot")  # type: ignore[misc]
        found = client.get_segment_snapshot(**look)
        key = f"out/written-{made['SnapshotId']}.{kind.lower()}"
        assert found["StatusMessage"] == f"{len(wanted)} members in s3://{BUCKET}/{key}"
        data = connect(real.access, 1).get_object(Bucket=BUCKET, Key=key)["Body"].read()
        assert written(kind, data) == wanted
    assert "HEADRACE_API_SNAPSHOT_BUCKETS" in message(
        client.create_segment_snapshot, **asked, DataFormat="CSV", DestinationUri="s3://secret/"
    )
    assert "EncryptionKey" in message(
        client.create_segment_snapshot, **asked, DataFormat="CSV", DestinationUri=f"s3://{BUCKET}/", EncryptionKey="k"
    )
    assert "not for snapshots" in message(
        client.create_segment_snapshot, **asked, DataFormat="CSV", DestinationUri=f"s3://{BUCKET}/_headrace/x"
    )
    gone = client.create_segment_snapshot(**asked, DataFormat="CSV", DestinationUri="s3://other/")
    failed = {**asked, "SnapshotId": gone["SnapshotId"]}
    eventually(lambda: client.get_segment_snapshot(**failed)["Status"] == "FAILED", within=20, what="no such bucket")


def written(kind: str, data: bytes) -> set[str]:
    if kind == "CSV":
        return {one["profile_identifier"] for one in csv.DictReader(io.StringIO(data.decode()))}
    if kind == "JSONL":
        return {json.loads(line)["profile_identifier"] for line in data.splitlines()}
    return set(pyarrow.orc.read_table(io.BytesIO(data)).column("profile_identifier").to_pylist())


@pytest.mark.spec("U14")
def test_whoever_defined_a_segment_owns_it(api: RunningApi, real: Pipeline, domain: str) -> None:
    create(api, domain, "theirs", ANNS)
    dimension = {"property": "FirstName", "comparison": "inclusive", "values": ["Bob"]}
    ours = {"name": "ours", "groups": [{"dimensions": [dimension]}]}
    real.define_segments(domain, ours)
    client = api.client()
    asked = {"DomainName": domain, "SegmentDefinitionName": "ours"}
    assert refusal(client.delete_segment_definition, **asked) == (400, "BadRequestException")
    assert refusal(client.create_segment_definition, **asked, DisplayName="A", SegmentGroups=ANNS) == (409, "ConflictException")
    assert client.get_segment_definition(**asked)["DisplayName"] == "ours"
    written = Segment.model_validate({"version": 1, "kind": "segment", "domain": domain, **ours, "name": "theirs"})
    with pytest.raises(ConfigurationError, match="the API, which owns it"):
        plan_configuration(real.store, Configuration({}, {}, {(domain, "theirs"): written}))
    assert find_segment(real.store, domain, "theirs").owner == "api"


def test_profiles_are_found(api: RunningApi, domain: str) -> None:
    client = api.client()

    def found(**members: Any) -> set[str]:
        pages, token = set(), None
        while True:
            page = client.search_profiles(DomainName=domain, **members, **({"NextToken": token} if token else {}))
            pages |= {one["ProfileId"] for one in page["Items"]}
            token = page.get("NextToken")
            if token is None:
                return pages

    ids = [one["id"] for one in PEOPLE]
    assert found(KeyName="_profileId", Values=[ids[3], "f" * 32]) == {ids[3]}
    assert found(KeyName="_email", Values=["P7@example.com", "P9@example.com"]) == {ids[7], ids[9]}
    assert found(KeyName="FirstName", Values=["Zoë"], MaxResults=3) == {one["id"] for one in PEOPLE if one["first"] == "Zoë"}
    both = [{"KeyName": "_email", "Values": ["P4@example.com"]}]
    assert found(KeyName="FirstName", Values=["Bob"], AdditionalSearchKeys=both, LogicalOperator="AND") == {ids[4]}
    assert found(KeyName="_email", Values=["P5@example.com"], AdditionalSearchKeys=both) == {ids[4], ids[5]}
    assert found(KeyName="_account", Values=["nobody's"]) == set()
    assert found(KeyName="_fullName", Values=["Ann de Vries", "Bob Smith"]) == {
        one["id"] for one in PEOPLE if (one["first"], one["last"]) in (("Ann", "de Vries"), ("Bob", "Smith"))
    }
    bobs = [{"KeyName": "_fullName", "Values": ["Bob de Vries"]}, {"KeyName": "tier", "Values": ["gold"]}]
    assert found(KeyName="FirstName", Values=["Bob"], AdditionalSearchKeys=bobs, LogicalOperator="AND") == {
        one["id"] for one in PEOPLE if (one["first"], one["last"], one["tier"]) == ("Bob", "de Vries", "gold")
    }
    assert found(KeyName="_email", Values=[f"P{number}@example.com" for number in range(60)]) == set(ids)
    assert found(KeyName="BirthDate", Values=["soon"]) == found(KeyName="_phone", Values=[]) == set()
    for name in ("_caseId", "_zendeskUserId", "nothing"):
        assert refusal(client.search_profiles, DomainName=domain, KeyName=name, Values=["1"]) == (400, "BadRequestException")
    assert "1,000 values" in message(client.search_profiles, DomainName=domain, KeyName="_profileId", Values=[ids[0]] * 1_001)
    first = client.search_profiles(DomainName=domain, KeyName="FirstName", Values=["Zoë"], MaxResults=3)
    other = {"DomainName": domain, "KeyName": "FirstName", "Values": ["Ann"], "NextToken": first["NextToken"]}
    assert refusal(client.search_profiles, **other) == (400, "BadRequestException")
    batch = client.batch_get_profile(DomainName=domain, ProfileIds=[ids[0], "f" * 32])
    assert [(one["FirstName"], one["BirthDate"]) for one in batch["Profiles"]] == [("Ann", "1950-06-15")]
    assert [one["ProfileId"] for one in batch["Errors"]] == ["f" * 32]


@pytest.mark.spec("P2")
def test_a_profile_is_erased(api: RunningApi, real: Pipeline, domain: str) -> None:
    client = api.client()
    create(api, domain, "left", ANNS)
    build(real, domain)
    ids = [one["id"] for one in PEOPLE]
    assert client.delete_profile(DomainName=domain, ProfileId=ids[0])["Message"] == "The profile is erased."
    assert client.batch_get_profile(DomainName=domain, ProfileIds=[ids[0]])["Profiles"] == []
    found = client.get_segment_membership(DomainName=domain, SegmentDefinitionName="left", ProfileIds=[ids[0], ids[3]])
    assert [one["ProfileId"] for one in found["Profiles"]] == [ids[3]]
    assert refusal(client.delete_profile, DomainName=domain, ProfileId=ids[0]) == (404, "ResourceNotFoundException")
    assert refusal(api.client(READER).delete_profile, DomainName=domain, ProfileId=ids[1]) == (403, "AccessDeniedException")
    assert refusal(api.client(RETAILER).batch_get_profile, DomainName=domain, ProfileIds=[ids[1]]) == (403, "AccessDeniedException")
