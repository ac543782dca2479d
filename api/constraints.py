"""Whether a value is what a shape of the model says: type, required, min, max, pattern, enum, union, and nothing that the model does not know.

botocore's own validator looks at required members, types and minima alone. Values are not repeated in errors: they may be personal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

_INTEGERS = {"integer": 2**31, "long": 2**63}
_LATEST = 253_402_300_799
"""The last second of the year 9999: no later moment has a datetime."""


class InvalidValueError(Exception):
    """`path`: `SegmentGroups.Groups[0].Type`; the message goes behind it."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path or 'The request'} {message}")


def checked(shape: Shape, value: Any, path: str = "") -> Any:
    """The value as handlers get it: structures without members that are null, timestamps as datetimes. Raises InvalidValueError."""
    match shape:
        case StructureShape():
            return _structure(shape, value, path)
        case ListShape():
            _expect(isinstance(value, list), path, "must be a list")
            _size(shape, len(value), path, "items")
            return [checked(shape.member, one, f"{path}[{at}]") for at, one in enumerate(value)]
        case MapShape():
            _expect(isinstance(value, dict), path, "must be an object")
            _size(shape, len(value), path, "entries")
            return {checked(shape.key, key, f"{path} (a key)"): checked(shape.value, one, f"{path}[…]") for key, one in value.items()}
        case StringShape():
            return _string(shape, value, path)
    return _scalar(shape, value, path)


def _structure(shape: StructureShape, value: Any, path: str) -> dict[str, Any]:
    _expect(isinstance(value, dict), path, "must be an object")
    there = {name: one for name, one in value.items() if one is not None}
    strangers = [name for name in there if name not in shape.members]
    _expect(not strangers, path, f"has a member that the model does not know; it has: {', '.join(shape.members) or 'none'}")
    for name in shape.required_members:
        _expect(name in there, _below(path, name), "is missing")
    if shape.is_tagged_union:
        _expect(len(there) == 1, path, f"must have exactly one of: {', '.join(shape.members)}")
    return {name: checked(shape.members[name], one, _below(path, name)) for name, one in there.items()}


def _string(shape: StringShape, value: Any, path: str) -> str:
    _expect(isinstance(value, str), path, "must be a text")
    _expect(_is_unicode(value), path, "is no Unicode text: it has half of a surrogate pair")
    _size(shape, len(value), path, "characters")
    if shape.enum:
        _expect(value in shape.enum, path, f"must be one of: {', '.join(shape.enum)}")
    pattern = shape.metadata.get("pattern")
    if pattern is not None:
        _expect(_compiled(pattern).fullmatch(value) is not None, path, f"must match {pattern}")
    return str(value)


def _scalar(shape: Shape, value: Any, path: str) -> Any:
    kind = shape.type_name
    if kind in _INTEGERS:
        bound = _INTEGERS[kind]
        _expect(type(value) is int and -bound <= value < bound, path, "must be a whole number")
        _range(shape, value, path)
        return value
    if kind == "double":
        _expect(type(value) in (int, float) and abs(value) < 1e308, path, "must be a number")
        _range(shape, value, path)
        return float(value)
    if kind == "boolean":
        _expect(isinstance(value, bool), path, "must be true or false")
        return value
    if kind == "timestamp":
        _expect(type(value) in (int, float) and 0 <= value <= _LATEST, path, "must be a moment, in seconds since 1970")
        return datetime.fromtimestamp(value, UTC)
    raise InvalidValueError(path, f"is a {kind}, which Headrace does not read")


def _size(shape: Shape, size: int, path: str, of: str) -> None:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    _expect(least is None or size >= least, path, f"must have at least {least} {of}")
    _expect(most is None or size <= most, path, f"must have at most {most} {of}")


def _range(shape: Shape, value: float, path: str) -> None:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    _expect(least is None or value >= least, path, f"must be {least} or more")
    _expect(most is None or value <= most, path, f"must be {most} or less")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Patterns are the model's, few and simple. The whole value has to match, also where the model leaves out ^ and $."""
    return re.compile(pattern)


def members_with_location(shape: StructureShape | None, location: str | None) -> Iterator[tuple[str, str, Shape]]:
    """(member, its name there, its shape) of those that travel in `uri`, `querystring`, …; None: in the body."""
    for name, member in (shape.members if shape is not None else {}).items():
        if member.serialization.get("location") == location:
            yield name, member.serialization.get("name", name), member


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _expect(holds: bool, path: str, message: str) -> None:  # noqa: FBT001 - what was looked at
    if not holds:
        raise InvalidValueError(path, message)
