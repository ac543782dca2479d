"""Every operation that Headrace does, with inputs drawn from the model's shapes: no answer is a 5xx, and what is accepted is valid (SPEC U1)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
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
from tests.model_check import locations, path_of, type_of, wrong_input
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
    if answered == 200 and body:
        assert not wrong_input(operation.name, {**whole(operation), **json.loads(body)})


def whole(operation: Operation) -> dict[str, Any]:
    """Something in place of what has to be in the path, which was accepted."""
    return {name: "a" * 32 for name, (place, _) in locations(operation.name).items() if place == "uri"}


ODD = ["..", "*", "a b", "a/b", "%2F", "a" * 300, "\x00", "é", "a\n", "\ud800", DOMAIN, SEGMENT, "_all", "0" * 32]
ODD_NUMBERS = ["0", "1", "100", "101", "1001", "-1", "+5", " 5", "5.0", "1e2", "٣", "", "9" * 30, "true"]


@pytest.mark.spec("U1")
@settings(max_examples=examples(120), suppress_health_check=list(HealthCheck))
@given(st.data())
def test_what_the_model_does_not_allow_is_never_accepted(api: RunningApi, data: st.DataObject) -> None:
    """One member is replaced: in the path, in the query, or in the body. The model's own JSON says whether it may be so."""
    operation = operations()[data.draw(st.sampled_from([name for name in OFTEN if locations(name)]))]
    values = as_json(operation, named(operation, data))
    member = data.draw(st.sampled_from(sorted(locations(operation.name))))
    place, _ = locations(operation.name)[member]
    shape = operation.model.input_shape.members[member]  # type: ignore[union-attr]
    if place:
        odd = ODD_NUMBERS if type_of(operation.name, member) in ("integer", "long") else ODD
        broken_texts = (
            broken(shape).filter(lambda one: isinstance(one, str) and bool(one)) if type_of(operation.name, member) == "string" else None
        )
        values[member] = data.draw(st.one_of(st.sampled_from(odd), *([broken_texts] if broken_texts is not None else [])))
    else:
        values[member] = data.draw(st.one_of(broken(shape), st.none(), st.sampled_from([0, -1, "", [], {}, [None], "a" * 300, 2**31, 0.5])))
    more = data.draw(st.sampled_from(["", "", "", "", "nothing=1", "domain-name=other"]))
    answered = status(api, spelled(operation, values, more))
    wrong = "a stranger in the query" if more else wrong_input(operation.name, {**values, **numbers_of(operation, values)})
    assert answered in ((400,) if wrong else (200, 400, 404, 409)), wrong


def as_json(operation: Operation, members: dict[str, Any]) -> dict[str, Any]:
    """Members by their names: those of the body as it has them."""
    body = json.loads(serialized(operation, members)[3] or b"{}")
    places = locations(operation.name)
    return {
        name: one if places[name][0] else body[places[name][1]]
        for name, one in members.items()
        if places[name][0] or places[name][1] in body
    }


def numbers_of(operation: Operation, values: dict[str, Any]) -> dict[str, Any]:
    """What texts of path and query mean where a number is meant."""
    found = {name: one for name, one in values.items() if locations(operation.name)[name][0] and isinstance(one, str)}
    texts = {name: one for name, one in found.items() if type_of(operation.name, name) in ("integer", "long")}
    return {name: int(one) for name, one in texts.items() if one.isascii() and one.removeprefix("-").isdecimal()}


def spelled(operation: Operation, values: dict[str, Any], more: str) -> tuple[str, str, str, bytes]:
    """Method, path, query and body, whatever the values are."""
    path, query, body = path_of(operation.name), [more] if more else [], dict[str, Any]()
    for name, (place, called) in locations(operation.name).items():
        if name in values and place:
            text = quote(str(values[name]).encode("utf-8", "surrogatepass"), safe="")
            path = path.replace(f"{{{called}}}", text) if place == "uri" else path
            query += [f"{called}={text}"] if place == "querystring" else []
        elif name in values:
            body[called] = values[name]
    return operation.method, path, "&".join(query), json.dumps(body, default=str).encode()
