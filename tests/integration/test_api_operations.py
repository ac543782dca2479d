"""Every operation that Headrace does, by boto3: good, bad and forbidden input; and every other one of the model, which is refused by name (SPEC U1, U12)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from api.constraints import members_with_location
from api.model import operations
from api.operations import OPERATIONS
from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from streaming.segments.materialize import materialize
from tests.api_client import NOBODY
from tests.api_operations import CASES, GROUPS, There
from tests.pipeline import access_to, pipeline
from tests.polling import eventually
from tests.upload_shop import Shop, headers_of, put, running_shop
from tests.uploaded import BUCKET, HEADER

FORBIDDEN = (403, "AccessDeniedException")


@pytest.fixture(scope="module")
def shop(
    valkey_server: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    real = pipeline(valkey_server.url, tansu_server.bootstrap_servers, access_to(s3_server))
    with running_shop(real, tmp_path_factory.mktemp("api"), snapshot_buckets=BUCKET, partitions=1, burst=10_000) as made:
        yield made


@pytest.fixture(scope="module")
def there(shop: Shop) -> There:
    client, domain = shop.client, shop.domain
    client.create_domain(DomainName=f"{domain}-spare", DefaultExpirationDays=1)
    for name in ("there", "spare"):
        client.create_segment_definition(DomainName=domain, SegmentDefinitionName=name, DisplayName=name, SegmentGroups=GROUPS)
    over, uploaded = (shop.create() for _ in range(2))
    for number, job in enumerate((over, uploaded)):
        path = shop.path(job)
        assert put(path["Url"], f"{HEADER}A{number},Laptop,,,,\n".encode(), headers_of(path["ClientToken"])) == (200, "")
    shop.start(over)
    assert shop.ended(over)["Status"] == "SUCCEEDED"
    eventually(lambda: not materialize(shop.api.services.store, domain).waiting, within=20, what="every segment is built")
    [found] = client.search_profiles(DomainName=domain, KeyName="_account", Values=["A0"])["Items"]
    snapshot = client.create_segment_snapshot(
        DomainName=domain, SegmentDefinitionName="there", DataFormat="CSV", DestinationUri=f"s3://{BUCKET}/"
    )
    return There(
        domain=domain,
        spare_domain=f"{domain}-spare",
        job=shop.create(),
        uploaded=uploaded,
        over=over,
        profile=found["ProfileId"],
        segment="there",
        spare_segment="spare",
        estimate=client.create_segment_estimate(DomainName=domain, SegmentQuery=GROUPS)["EstimateId"],
        snapshot=snapshot["SnapshotId"],
        bucket=BUCKET,
    )


def answer(client: Any, operation: str, members: dict[str, Any]) -> tuple[int, str]:
    """Status and error; boto3 is told to send what it thinks is wrong, too."""
    try:
        found = getattr(client, xform_name(operation))(**members)
    except ClientError as error:
        said: Any = error.response
        return said["ResponseMetadata"]["HTTPStatusCode"], said["Error"]["Code"]
    return found["ResponseMetadata"]["HTTPStatusCode"], ""


@pytest.mark.spec("U1", "U12", "S1", "S6", "U14", "P2")
@pytest.mark.parametrize("operation", CASES)
def test_an_operation_is_done_refused_and_forbidden(shop: Shop, there: There, operation: str) -> None:
    case = CASES[operation]
    good = case.good(there)
    client = shop.api.client(parameter_validation=False)
    bad = [(members, answer(client, operation, good | members)) for members, _ in case.bad(there)]
    assert bad == case.bad(there)
    nobody = shop.api.client(NOBODY, parameter_validation=False)
    assert answer(nobody, operation, good) == FORBIDDEN
    # Before anything is looked at: who may not is not told what is there.
    assert {answer(nobody, operation, good | members) for members, _ in case.bad(there)} <= {FORBIDDEN}
    assert answer(client, operation, good) == (operations()[operation].status, "")


@pytest.mark.spec("U1")
def test_all_others_are_refused_by_name(shop: Shop) -> None:
    others = sorted(operations().keys() - OPERATIONS.keys())
    assert len(others) > 80
    client = shop.api.client(parameter_validation=False)
    for name in others:
        labels = [label for label, _, _ in members_with_location(operations()[name].model.input_shape, "uri")]
        with pytest.raises(ClientError, match=f"BadRequestException.*Headrace does not do {name}. It does: BatchGetProfile, "):
            getattr(client, xform_name(name))(**dict.fromkeys(labels, "a" * 32))
