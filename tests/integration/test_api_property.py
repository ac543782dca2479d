"""Every operation that Headrace does, with inputs drawn from the model's shapes: no answer is a 5xx, and what is accepted is valid (SPEC U1)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.validate import ParamValidator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.constraints import members_with_location
from api.dispatch import Dispatcher, Verified
from api.errors import ApiError, of_headrace
from api.model import Operation, operations
from api.operations import OPERATIONS
from api.principals import Principal, Rule
from api.trail import Trail
from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.errors import HeadraceError
from tests.api_client import RunningApi, running_api
from tests.examples import examples
from tests.model_inputs import broken, serialized, valid
from tests.pipeline import Pipeline, access_to, pipeline
from tests.servers.valkey import flush

DOMAIN, SEGMENT = "drawn", "a-segment"
ANYTHING = Principal.model_construct(name="anybody", keys=(), allow=(Rule(operations=("*",), domains=("*",)),))
DEAR = ("CreateDomain", "DeleteDomain")
"""They make Kafka topics: drawn less often."""
OFTEN = [name for name in OPERATIONS if name not in DEAR]


@pytest.fixture(scope="module")
def real(valkey_server: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server) -> Pipeline:
    flush(valkey_server)
    return pipeline(valkey_server.url, tansu_server.bootstrap_servers, access_to(s3_server))


@pytest.fixture(scope="module")
def api(real: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    rates: dict[str, Any] = {"requests_per_second": 1e6, "burst": 1_000_000}
    with running_api(real, tmp_path_factory.mktemp("api"), snapshot_buckets="crm", **rates) as running:
        client = running.client()
        client.create_domain(DomainName=DOMAIN, DefaultExpirationDays=1)
        group = {"Dimensions": [{"ProfileAttributes": {"FirstName": {"DimensionType": "INCLUSIVE", "Values": ["Ann"]}}}]}
        client.create_segment_definition(
            DomainName=DOMAIN, SegmentDefinitionName=SEGMENT, DisplayName="A segment", SegmentGroups={"Groups": [group]}
        )
        yield running


def named(operation: Operation, data: st.DataObject) -> dict[str, Any]:
    """A valid input, in most cases of things that are there."""
    shape = operation.model.input_shape
    assert shape is not None
    members: dict[str, Any] = data.draw(valid(shape))
    if operation.name not in DEAR and data.draw(st.integers(0, 9)):
        members |= {name: value for name, value in (("DomainName", DOMAIN), ("SegmentDefinitionName", SEGMENT)) if name in members}
    if operation.name == "CreateSegmentDefinition":
        members["SegmentDefinitionName"] = uuid.uuid4().hex
    return members


def status(api: RunningApi, request: tuple[str, str, str, bytes]) -> int:
    """What `api.app` answers. Raises what it would call a bug."""
    verified = Verified(*request, ANYTHING, uuid.uuid4().hex, "", "a-request", api.url)
    try:
        return Dispatcher(api.services, Trail(api.services.store, 1_000)).answer(verified).status
    except ApiError as error:
        return error.status
    except HeadraceError as error:
        told = of_headrace(error)
        if told is None:
            raise
        return told.status


@pytest.mark.spec("U1")
@settings(max_examples=examples(60), suppress_health_check=list(HealthCheck))
@given(st.data())
def test_valid_inputs_get_an_answer(api: RunningApi, data: st.DataObject) -> None:
    operation = operations()[data.draw(st.sampled_from([*OFTEN, *OFTEN, *DEAR]))]
    assert status(api, serialized(operation, named(operation, data))) in (200, 400, 404, 409)


@pytest.mark.spec("U1")
@settings(max_examples=examples(60), suppress_health_check=list(HealthCheck))
@given(st.data())
def test_inputs_with_one_thing_wrong_are_refused(api: RunningApi, data: st.DataObject) -> None:
    operation = operations()[data.draw(st.sampled_from([*OFTEN, *DEAR]))]
    method, path, query, body = serialized(operation, named(operation, data))
    in_body = {name: (there, shape) for name, there, shape in members_with_location(operation.model.input_shape, None)}
    if in_body:
        there, shape = in_body[data.draw(st.sampled_from(sorted(in_body)))]
        wrong = data.draw(broken(shape))
        body = json.dumps({**json.loads(body or b"{}"), there: wrong}, default=str).encode()
    else:
        body = data.draw(st.sampled_from([b"[]", b'{"NoSuchMember": 1}', b"\xff", b"{", b"null", b'"text"']))
    assert status(api, (method, path, query, body)) == 400


@pytest.mark.spec("U1")
@settings(max_examples=examples(60), suppress_health_check=list(HealthCheck))
@given(st.data())
def test_garbled_requests_get_an_answer(api: RunningApi, data: st.DataObject) -> None:
    """Signed, and yet nonsense."""
    operation = operations()[data.draw(st.sampled_from(OFTEN))]
    method, path, query, body = serialized(operation, named(operation, data))
    at = data.draw(st.integers(0, max(len(body) - 1, 0)))
    body = body[:at] + data.draw(st.binary(max_size=3)) + body[at + data.draw(st.integers(0, 3)) :]
    query += data.draw(st.sampled_from(["", "", "&max-results=0", "&next-token=AAAA", "&%ff=1", "=", "&&", "&max-results=1&max-results=2"]))
    path = data.draw(
        st.sampled_from([path, path, f"{path}/", f"{path}%00", f"{path}%ff", path.replace(DOMAIN, "%20"), path.replace(SEGMENT, "é")])
    )
    answered = status(api, (method, path, query, body))
    assert answered in (200, 400, 404, 409)
    if answered == 200 and body and operation.model.input_shape is not None:
        assert not ParamValidator().validate(whole(operation, json.loads(body)), operation.model.input_shape).has_errors()


def whole(operation: Operation, body: dict[str, Any]) -> dict[str, Any]:
    """As boto3's own validator wants it, with something in place of what travels elsewhere."""
    elsewhere = [name for place in ("uri", "querystring") for name, _, _ in members_with_location(operation.model.input_shape, place)]
    required = operation.model.input_shape.required_members if operation.model.input_shape is not None else []
    given = {name: one for name, one in body.items() if one is not None}
    return {**dict.fromkeys(set(elsewhere) & set(required), "a" * 32), **given}
