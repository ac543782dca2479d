"""Requests of botocore's own serializer, read back: every operation of the model, every constraint (SPEC U1)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.constraints import InvalidValueError, checked
from api.errors import ApiError
from api.model import find_route, operations, service_model
from api.parse import read_input
from tests.examples import examples
from tests.model_inputs import broken, serialized, valid

NAMES = sorted(operations())


def whole(value: Any) -> Any:
    """Without the difference between a moment and its seconds."""
    match value:
        case dict():
            return {key: whole(one) for key, one in value.items()}
        case list():
            return [whole(one) for one in value]
        case datetime():
            return value.timestamp()
    return value


@pytest.mark.spec("U1")
@settings(max_examples=examples(120), suppress_health_check=list(HealthCheck))
@given(st.data())
def test_what_is_valid_is_read_as_it_was_meant(data: st.DataObject) -> None:
    operation = operations()[data.draw(st.sampled_from(NAMES))]
    members = data.draw(valid(operation.model.input_shape)) if operation.model.input_shape is not None else {}
    method, path, query, body = serialized(operation, members)
    route = find_route(method, path)
    assert route is not None
    if any(text in (".", "..") or not text for text in path.split("/")[1:]):
        return  # such a path is refused with its signature
    assert route.operation is operation
    assert whole(read_input(route, query, body)) == whole(members)


@pytest.mark.spec("U1")
@settings(max_examples=examples(50), suppress_health_check=list(HealthCheck))
@given(st.data())
def test_what_is_not_valid_is_refused(data: st.DataObject) -> None:
    operation = operations()[data.draw(st.sampled_from([name for name in NAMES if operations()[name].model.input_shape is not None]))]
    shape = operation.model.input_shape
    assert shape is not None
    with pytest.raises(InvalidValueError):
        checked(shape, data.draw(broken(shape)))


def one_thing_wrong(shape: Shape) -> Iterator[tuple[Any, str]]:
    """For each constraint of a shape a value that breaks it, and what is said."""
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    match shape:
        case StructureShape():
            yield from (({}, f"{name} is missing") for name in shape.required_members[:1])
        case ListShape() | MapShape() | StringShape():
            made: Callable[[int], Any] = {
                "list": lambda n: [None] * n,
                "map": lambda n: dict.fromkeys(map(str, range(n))),
                "string": "a".__mul__,
            }[shape.type_name]
            if most is not None:
                yield made(most + 1), f"must have at most {most} "
            if least:
                yield made(least - 1), f"must have at least {least} "
            if shape.type_name == "string" and getattr(shape, "enum", None):
                yield "no such word", "must be one of"
            pattern = str(shape.metadata.get("pattern", ""))
            if pattern.startswith("^[") and r"\s" not in pattern:
                yield "a" * (least or 1) + "\n", "must match"
        case _:
            if shape.type_name in ("double", "integer", "long"):
                yield 10**400, "must be a"
            if shape.type_name == "double":
                yield from ((one, "must be a number") for one in (float("nan"), float("inf"), -(10**400), 1e308))
            if least is not None:
                yield type(least)(least - 1), f"must be {least} or more"
            if most is not None:
                yield type(most)(most + 1), "must be a whole number" if most == 2**31 - 1 else f"must be {most} or less"


@pytest.mark.spec("U1")
def test_every_constraint_of_the_model_is_kept() -> None:
    model, seen = service_model(), 0
    for name in model.shape_names:
        shape = model.shape_for(name)
        for value, said in one_thing_wrong(shape):
            seen += 1
            with pytest.raises(InvalidValueError, match=re.escape(said)):
                checked(shape, value)
    assert seen > 300


def refused(body: bytes, query: str = "") -> str:
    route = find_route("POST", "/domains/retail/segment-estimates")
    assert route is not None
    with pytest.raises(ApiError) as caught:
        read_input(route, query, body)
    assert caught.value.code == "BadRequestException"
    return caught.value.message


@pytest.mark.spec("U1")
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"[]", "must be a JSON object"),
        (b"{", "no JSON"),
        (b"\xff\xfe{\x00}\x00", "no JSON in UTF-8"),
        (b'{"SegmentQuery": {}, "SegmentQuery": {}}', "twice"),
        (b'{"SegmentQuery": NaN}', "does not have"),
        (b'{"Nothing": 1}', "does not have there"),
        (b'{"DomainName": "other"}', "does not have there"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"SegmentQuery": ' + b"9" * 10_000 + b"}", "no JSON"),
        (b'{"SegmentQuery": {"Groups": [{"Type": "\\ud800"}]}}', "surrogate"),
        (b'{"SegmentQuery": {"Groups": [{"Dimensions": [{}]}]}}', "exactly one of"),
    ],
)
def test_bodies_that_are_none(body: bytes, said: str) -> None:
    assert said in refused(body)


def test_values_are_not_repeated() -> None:
    """They may be personal, and errors end up in logs."""
    body = {
        "SegmentQuery": {"Groups": [{"Dimensions": [{"ProfileAttributes": {"FirstName": {"DimensionType": "Jane", "Values": ["Jane"]}}}]}]}
    }
    said = refused(json.dumps(body).encode())
    assert "Jane" not in said
    assert "SegmentQuery.Groups[0].Dimensions[0].ProfileAttributes.FirstName.DimensionType" in said


def test_queries_that_are_none() -> None:
    body = b'{"SegmentQuery": {}}'
    assert "does not have" in refused(body, "X-Amz-Signature=abc")
    assert "UTF-8" in refused(body, "%ff=1")
