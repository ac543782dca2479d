"""Domains over HTTP, by an unchanged boto3 client (SPEC U12, U14, U15)."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.connections import Connection
from headrace.domains import Domain
from headrace.errors import ConfigurationError
from headrace.yaml_source import Configuration
from profile_store import audit, keys, registry, retirement
from profile_store.store import Store
from streaming.importing.apply import apply_configuration, plan_configuration
from tests.api_client import ADMIN, READER, RETAILER, RunningApi, running_api
from tests.files import csv_bytes
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually
from tests.servers.valkey import ValkeyCluster, flush

BUCKET = "api-domains"


@pytest.fixture(scope="module")
def real(valkey_server: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server) -> Pipeline:
    flush(valkey_server)
    made = pipeline(valkey_server.url, tansu_server.bootstrap_servers, access_to(s3_server))
    made.make_bucket(BUCKET)
    return made


@pytest.fixture(scope="module")
def api(real: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """For all tests of this file: each has domains of its own."""
    with running_api(real, tmp_path_factory.mktemp("api")) as running:
        yield running


def domains(client: Any, **members: Any) -> list[str]:
    return [one["DomainName"] for one in client.list_domains(**members)["Items"]]


def refusal(call: Callable[..., Any], **members: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call(**members)
    answer: Any = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def message(call: Callable[..., Any], **members: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**members)
    return str(caught.value)


@pytest.mark.spec("U14")
def test_a_domain_comes_and_goes(api: RunningApi, domain_name: str) -> None:
    client = api.client()
    made = client.create_domain(DomainName=domain_name, DefaultExpirationDays=30, Tags={"team": "crm"})
    assert made["DomainName"] == domain_name
    assert abs((datetime.now(UTC) - made["CreatedAt"]).total_seconds()) < 60
    found = client.get_domain(DomainName=domain_name)
    assert (found["DefaultExpirationDays"], found["Tags"], found["CreatedAt"]) == (30, {"team": "crm"}, made["CreatedAt"])
    assert domain_name in domains(client)
    stored = registry.get_domain(api.services.store, domain_name)
    assert stored.owner == "api"
    assert stored.schema.find("ShippingAddress.City") is not None
    assert refusal(client.create_domain, DomainName=domain_name, DefaultExpirationDays=30) == (400, "BadRequestException")
    client.delete_domain(DomainName=domain_name)
    assert refusal(client.get_domain, DomainName=domain_name) == (404, "ResourceNotFoundException")
    assert domain_name not in domains(client)
    client.create_domain(DomainName=domain_name, DefaultExpirationDays=31)
    assert client.get_domain(DomainName=domain_name)["DefaultExpirationDays"] == 31


@pytest.mark.spec("U14")
def test_what_is_not_done_is_named(api: RunningApi, domain_name: str) -> None:
    client = api.client()
    asked = {"DomainName": domain_name, "DefaultExpirationDays": 1}
    assert "Matching" in message(client.create_domain, **asked, Matching={"Enabled": True})
    assert "DefaultEncryptionKey" in message(client.create_domain, **asked, DefaultEncryptionKey="arn:aws:kms:eu-west-1:1:key/1")
    said = message(client.put_integration, DomainName=domain_name, ObjectTypeName="t", Uri="arn:aws:s3:::b")
    assert "BadRequestException" in said
    assert "Headrace does not do PutIntegration" in said
    assert refusal(client.create_domain, DomainName=domain_name, DefaultExpirationDays=1099) == (400, "BadRequestException")
    assert refusal(client.create_domain, DomainName="no name", DefaultExpirationDays=1) == (400, "BadRequestException")
    assert client.create_domain(**asked, Matching={"Enabled": False})["DomainName"] == domain_name


@pytest.mark.spec("U14")
def test_whoever_defined_a_domain_owns_it(api: RunningApi, real: Pipeline, domain_name: str) -> None:
    goal = {
        "domain": domain_name,
        "source": {"bucket": BUCKET, "files": "*.csv"},
        "link": [{"column": "id", "property": "id"}],
        "mappings": [],
    }
    real.apply({"name": domain_name, "partitions": 2, "properties": [{"name": "id", "identifier": True}]}, goal)
    client = api.client()
    assert domain_name in domains(client)
    assert refusal(client.delete_domain, DomainName=domain_name) == (400, "BadRequestException")
    assert refusal(client.create_domain, DomainName=domain_name, DefaultExpirationDays=1) == (400, "BadRequestException")
    theirs = f"{domain_name}-api"
    client.create_domain(DomainName=theirs, DefaultExpirationDays=1)
    written = Domain.model_validate({"version": 1, "kind": "domain", "name": theirs})
    with pytest.raises(ConfigurationError, match="the API, which owns it"):
        plan_configuration(real.store, Configuration({theirs: written}, {}))
    assert plan_configuration(real.store, Configuration({}, {})).lines() == []


@pytest.mark.spec("U14")
def test_a_deleted_domain_leaves_nothing_and_its_name_can_be_used_again(api: RunningApi, real: Pipeline, domain_name: str) -> None:
    client = api.client()
    client.create_domain(DomainName=domain_name, DefaultExpirationDays=1)
    with real.workers(domain_name):
        for value in ("first", "second"):
            if value == "second":
                client.create_domain(DomainName=domain_name, DefaultExpirationDays=1)
            assert load_people(real, domain_name, value) == 50
            assert {str(one["FirstName"]) for one in real.profiles(domain_name).values()} == {value}
            client.delete_domain(DomainName=domain_name)
            assert kept_of(real.store, domain_name) <= KEPT


KEPT = {b"sequence", b"floor", b"mark", b"import", b"result", b"retired"}


def kept_of(store: Store, domain: str) -> set[bytes]:
    """What kinds of keys there are of a domain that was deleted; fences, which stay, apart."""
    left = [key for key in store.client.scan_iter(match=f"{{{domain}*") if b"fence" not in key]
    return {key.rpartition(b"}:")[2].partition(b":")[0] for key in left}


@pytest.mark.spec("U14")
def test_what_a_dead_process_left_of_a_domain_goes(api: RunningApi, real: Pipeline, domain_name: str) -> None:
    client, store = api.client(), api.services.store
    for finish in (
        lambda: retirement.finish_retiring(store),
        lambda: client.create_domain(DomainName=domain_name, DefaultExpirationDays=2),
    ):
        client.create_domain(DomainName=domain_name, DefaultExpirationDays=1)
        store.client.set(f"{{{domain_name}:0}}:{'x' * 16}", "a profile")
        store.client.sadd(keys.retiring(), domain_name)
        store.client.delete(keys.domain(domain_name), keys.schema(domain_name))
        store.client.srem(keys.domains(), domain_name)
        finish()
        assert not store.client.exists(f"{{{domain_name}:0}}:{'x' * 16}")
        assert retirement.retiring_domains(store) == ()
        if registry.find_domain(store, domain_name) is not None:
            client.delete_domain(DomainName=domain_name)


@pytest.mark.spec("U14")
def test_one_of_many_makes_a_domain(api: RunningApi, domain_name: str) -> None:
    def make(days: int) -> bool:
        try:
            api.client().create_domain(DomainName=domain_name, DefaultExpirationDays=days)
        except ClientError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(make, range(1, 7))) == 1


@pytest.mark.spec("U14")
def test_on_a_cluster(
    valkey_cluster: ValkeyCluster, tansu_server: BrokerServer, s3_server: S3Server, tmp_path: Path, domain_name: str
) -> None:
    """Where each partition may live on another node."""
    clustered = pipeline(valkey_cluster.url, tansu_server.bootstrap_servers, access_to(s3_server), cluster=True)
    with running_api(clustered, tmp_path) as running:
        client = running.client()
        for days in (1, 2):
            client.create_domain(DomainName=domain_name, DefaultExpirationDays=days)
            assert client.get_domain(DomainName=domain_name)["DefaultExpirationDays"] == days
            client.delete_domain(DomainName=domain_name)
        left = {key for node in clustered.store.nodes() for key in node.scan_iter(match=f"{{{domain_name}:*")}
        assert left == set()


def load_people(real: Pipeline, domain: str, first_name: str) -> int:
    """Fifty profiles, by their profile identifiers: how many were created."""
    goal = {
        "kind": "import_profiles",
        "name": "people",
        "domain": domain,
        "source": {"bucket": BUCKET, "files": f"{first_name}.csv"},
        "link": [{"column": "id", "property": "profile_identifier"}],
        "allow_creation": True,
        "mappings": [{"column": "mail", "property": "EmailAddress"}, {"column": "tier", "property": "FirstName"}],
    }
    rows = [{"id": f"{number + 1:02x}" * 16, "mail": f"p{number}@example.com", "tier": first_name} for number in range(50)]
    real.put(BUCKET, f"{first_name}.csv", csv_bytes(rows, ("id", "mail", "tier")))
    connection = Connection.model_validate({"version": 1, "kind": "connection", "name": f"c-{first_name}", "goals": [goal]})
    apply_configuration(real.context, plan_configuration(real.store, Configuration({}, {connection.name: connection})), "")
    return sum(one.outcomes.created for one in real.run(connection))


@pytest.mark.spec("U12")
def test_calls_that_are_not_allowed(api: RunningApi, domain_name: str) -> None:
    admin = api.client()
    ours, other = f"retail-{domain_name}", f"other-{domain_name}"  # retailer may do anything with what begins with retail
    for name in (ours, other):
        admin.create_domain(DomainName=name, DefaultExpirationDays=1)
    reader, retailer = api.client(READER), api.client(RETAILER)
    assert reader.get_domain(DomainName=other)["DomainName"] == other
    assert refusal(reader.create_domain, DomainName="another", DefaultExpirationDays=1) == (403, "AccessDeniedException")
    assert refusal(retailer.get_domain, DomainName=other) == (403, "AccessDeniedException")
    assert refusal(retailer.delete_domain, DomainName=other) == (403, "AccessDeniedException")
    assert domains(retailer) == [ours]
    assert refusal(api.client(ADMIN, "a-wrong-secret-of-somebody").list_domains) == (403, "InvalidSignatureException")
    assert refusal(api.client("HRTESTNOBODY0000001", "a-wrong-secret-of-somebody").list_domains) == (403, "UnrecognizedClientException")


@pytest.mark.spec("U12")
def test_every_call_is_in_the_audit_trail(api: RunningApi, domain_name: str) -> None:
    api.client().create_domain(DomainName=domain_name, DefaultExpirationDays=1)
    refusal(api.client(READER).delete_domain, DomainName=domain_name)
    api.client(READER).get_domain(DomainName=domain_name)
    about = f"domain {domain_name}"

    def found() -> set[tuple[str, str, str | None]]:
        return {(one.who, one.what, one.detail.get("refused")) for one in audit.read(api.services.store) if one.about == about}

    expected = {
        ("api:reader", "GetDomain", None),
        ("api:reader", "DeleteDomain", "AccessDeniedException"),
        ("api:admin", "CreateDomain", None),
    }
    eventually(lambda: found() == expected, within=10, what="all of them are there")


@pytest.mark.spec("U15")
def test_what_is_too_fast_is_throttled(real: Pipeline, tmp_path: Path) -> None:
    with running_api(real, tmp_path, requests_per_second=0.1, burst=3) as api:
        client = api.client()
        for _ in range(3):
            client.list_domains()
        assert refusal(client.list_domains) == (429, "ThrottlingException")
        api.client(READER).list_domains()


@pytest.mark.spec("S1")
def test_pages(api: RunningApi) -> None:
    client = api.client()
    for name in ("domain-2", "domain-1", "domain-3"):
        client.create_domain(DomainName=name, DefaultExpirationDays=1)
    names = domains(client)
    assert names == sorted(names)
    first = client.list_domains(MaxResults=2)
    second = client.list_domains(MaxResults=1, NextToken=first["NextToken"])
    assert domains(client, MaxResults=2) + domains(client, MaxResults=1, NextToken=first["NextToken"]) == names[:3]
    rest = domains(client, NextToken=second["NextToken"]) if "NextToken" in second else []
    assert rest == names[3:]
    assert refusal(client.list_domains, NextToken=first["NextToken"][:-2]) == (400, "BadRequestException")
    assert refusal(client.list_segment_definitions, DomainName="domain-1", NextToken=first["NextToken"]) == (400, "BadRequestException")


def test_bodies_that_are_too_large_and_paths_that_are_nobodys(api: RunningApi) -> None:
    assert refusal(api.client().create_domain, DomainName="a", DefaultExpirationDays=1, Tags={"a": "x" * 2_000_000}) == (
        413,
        "RequestEntityTooLargeException",
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for path, status in (("/health", 200), ("/ready", 200), ("/metrics", 200)):
        with opener.open(f"{api.url}{path}", timeout=60) as answer:
            assert answer.status == status
    with pytest.raises(urllib.error.HTTPError) as caught:
        opener.open(f"{api.url}/nothing", timeout=60)
    assert caught.value.code == 403
    assert json.loads(caught.value.read())["__type"] == "MissingAuthenticationTokenException"
