"""A request → the input of its operation, as the model has it: from path, query and JSON body. Nothing else is read of a request."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from botocore.model import ListShape, Shape, StructureShape

from api.constraints import InvalidValueError, checked, members_with_location
from api.errors import ApiError, bad_request
from api.model import Route

_WHOLE = re.compile(r"-?[0-9]{1,19}", re.ASCII)


def read_input(route: Route, query: str, body: bytes) -> dict[str, Any]:
    """`query`, raw; `body`, whole. Raises ApiError BadRequestException, which says what is wrong, and where."""
    shape = route.operation.model.input_shape
    values: dict[str, Any] = {}
    for name, there, member in members_with_location(shape, "uri"):
        values[name] = _plain(member, route.labels.get(there), name)
    given = _read_query(query)
    for name, there, member in members_with_location(shape, "querystring"):
        if there in given:
            texts = given.pop(there)
            if isinstance(member, ListShape):
                values[name] = [_plain(member.member, one, name) for one in texts]
            elif len(texts) > 1:
                raise bad_request(f"The query has {name} twice.")
            else:
                values[name] = _plain(member, texts[0], name)
    if given:
        raise bad_request(f"The query has a parameter that {route.operation.name} does not have.")
    in_body = {there: name for name, there, _ in members_with_location(shape, None)}
    for there, one in _read_body(body).items():
        if there not in in_body:
            known = ", ".join(in_body) or "none"
            raise bad_request(f"The body has a member that {route.operation.name} does not have there; it has: {known}.")
        values[in_body[there]] = one
    return validated(shape, values)


def validated(shape: StructureShape | None, values: dict[str, Any]) -> dict[str, Any]:
    if shape is None:
        return {}
    try:
        found: dict[str, Any] = checked(shape, values)
    except InvalidValueError as error:
        raise bad_request(f"{error}.") from None
    except RecursionError:
        raise bad_request("The body is nested too deeply.") from None
    return found


def _read_query(query: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pair in query.split("&") if query else ():
        name, _, text = pair.partition("=")
        try:
            decoded, value = (unquote_to_bytes(one.replace("+", " ")).decode() for one in (name, text))
        except UnicodeDecodeError:
            raise bad_request("The query is not UTF-8.") from None
        found.setdefault(decoded, []).append(value)
    return found


def _plain(shape: Shape, text: str | None, name: str) -> Any:
    """Of a text in path or query, where numbers and booleans have no quotes to do without."""
    if text is None:
        raise bad_request(f"{name} is not UTF-8.")
    kind = shape.type_name
    if kind in ("integer", "long"):
        return int(text) if _WHOLE.fullmatch(text) else text
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text


def _read_body(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        document = json.loads(body.decode(), object_pairs_hook=_without_doubles, parse_constant=_refuse_constant)
    except ApiError:
        raise
    except RecursionError:
        raise bad_request("The body is nested too deeply.") from None
    except ValueError:  # not UTF-8, not JSON, or a number of thousands of digits
        raise bad_request("The body is no JSON in UTF-8.") from None
    if not isinstance(document, dict):
        raise bad_request("The body must be a JSON object.")
    return document


def _without_doubles(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise bad_request("The body has a member twice in one object.")
        found[name] = value
    return found


def _refuse_constant(_text: str) -> Any:
    raise bad_request("The body has a number that JSON does not have (NaN or Infinity).")
