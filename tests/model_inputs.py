"""Inputs of the API's operations, drawn from the shapes of botocore's model: valid ones, and ones with one thing wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape
from botocore.serialize import create_serializer
from botocore.utils import percent_encode_sequence
from hypothesis import strategies as st

from api.model import Operation

_SERIALIZER: Any = create_serializer("rest-json", include_validation=False)
_ALPHABET = st.characters(codec="utf-8")
MORE = 2
"""Of what may be there many times, so many above the least."""


def valid(shape: Shape) -> st.SearchStrategy[Any]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    match shape:
        case StructureShape() if shape.is_tagged_union:
            return st.one_of([st.fixed_dictionaries({name: valid(one)}) for name, one in shape.members.items()])
        case StructureShape():
            required = {name: valid(shape.members[name]) for name in shape.required_members}
            others = {name: valid(one) for name, one in shape.members.items() if name not in required}
            return st.fixed_dictionaries(required, optional=others)
        case ListShape():
            return st.lists(valid(shape.member), min_size=least or 0, max_size=min(most or 99, (least or 0) + MORE))
        case MapShape():
            return st.dictionaries(valid(shape.key), valid(shape.value), min_size=least or 0, max_size=min(most or 99, (least or 0) + MORE))
        case StringShape() if shape.enum:
            return st.sampled_from(shape.enum)
        case StringShape() if "pattern" in shape.metadata:
            found = st.from_regex(shape.metadata["pattern"], fullmatch=True, alphabet=_ALPHABET)
            return found.filter(lambda text: (least or 0) <= len(text) <= (most or 1_000))
        case StringShape():
            return st.text(_ALPHABET, min_size=least or 0, max_size=min(most or 20, (least or 0) + 20))
    match shape.type_name:
        case "integer" | "long":
            return st.integers(int(least) if least is not None else -(2**31), int(most) if most is not None else 2**31 - 1)
        case "double":
            return st.floats(least if least is not None else -1e6, most if most is not None else 1e6, allow_nan=False)
        case "boolean":
            return st.booleans()
        case "timestamp":
            return st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
    raise AssertionError(f"the model has a type that the tests do not know: {shape.type_name}")


_WRONG_TYPES: list[Any] = [0, 1.5, True, "text", [], [None], {}, {"a": 1}, -1, 10**30]


def broken(shape: Shape) -> st.SearchStrategy[Any]:
    """A value that is not what the shape says."""
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    kinds: dict[str, tuple[type, ...]] = {"structure": (dict,), "list": (list,), "map": (dict,), "string": (str,), "boolean": (bool,)}
    fitting = kinds.get(shape.type_name, (int, float))
    ways = [
        st.sampled_from([one for one in _WRONG_TYPES if not isinstance(one, fitting) or (isinstance(one, bool) and bool not in fitting)])
    ]
    match shape:
        case StructureShape():
            ways += _broken_structure(shape)
        case ListShape():
            ways.append(broken(shape.member).map(lambda one: [one]))
            if most is not None and most <= 1_000:
                ways.append(valid(shape.member).map(lambda one: [one] * (most + 1)))
            ways += [st.just([])] if least else []
        case MapShape():
            ways.append(st.tuples(valid(shape.key), broken(shape.value)).map(lambda pair: {pair[0]: pair[1]}))
            ways += [st.just({})] if least else []
        case StringShape():
            ways += _broken_string(shape)
        case _:
            ways += [st.just(least - 1)] if least is not None else []
            ways += [st.just(most + 1)] if most is not None else []
    return st.one_of(ways)


def _broken_structure(shape: StructureShape) -> list[st.SearchStrategy[Any]]:
    ways = [valid(shape).map(lambda value: {**value, "NoSuchMember": 1})]
    ways += [valid(shape).map(partial(_without, gone)) for gone in shape.required_members]
    ways += [st.tuples(valid(shape), broken(one)).map(partial(_with, name)) for name, one in _few(shape)]
    return [*ways, st.just({})] if shape.is_tagged_union else ways


def _without(gone: str, value: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in value.items() if name != gone}


def _with(name: str, pair: tuple[dict[str, Any], Any]) -> dict[str, Any]:
    return {**pair[0], name: pair[1]}


def _broken_string(shape: StringShape) -> list[st.SearchStrategy[Any]]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    wrong = ["\ud800"]
    if shape.enum:
        return [st.sampled_from([*wrong, "", "no such word", shape.enum[0].lower(), f"{shape.enum[0]} "])]
    wrong += ["a" * (most + 1)] if most is not None else []
    wrong += [""] if least else []
    wrong += ["\n", "é", "a\n", "\0"] if shape.metadata.get("pattern", "").startswith("^[") else []
    return [st.sampled_from(wrong)]


def _few(shape: StructureShape) -> list[tuple[str, Shape]]:
    """Big structures have many members of the same kind: of each shape one is enough."""
    return list({member.name: (name, member) for name, member in shape.members.items()}.values())


def serialized(operation: Operation, members: dict[str, Any]) -> tuple[str, str, str, bytes]:
    """Method, raw path, raw query and body, as botocore's own serializer writes them."""
    request = _SERIALIZER.serialize_to_request(members, operation.model)
    body = request["body"] or b""
    body = body.encode() if isinstance(body, str) else body
    return request["method"], request["url_path"], percent_encode_sequence(request["query_string"]), body
