"""What a handler gives → the body of the response, by the output shape of the model; and errors, as AWS' rest-json has them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from api.errors import ApiError
from api.model import Operation


def output_body(operation: Operation, output: dict[str, Any]) -> bytes:
    """Raises ValueError for a member that the model does not have: a bug of the handler."""
    shape = operation.model.output_shape
    if shape is None:
        return b"{}"
    return json.dumps(_spelled(shape, output), ensure_ascii=False, separators=(",", ":")).encode()


def _spelled(shape: Shape, value: Any) -> Any:
    match shape:
        case StructureShape():
            strangers = value.keys() - shape.members.keys()
            if strangers:
                raise ValueError(f"{shape.name} has no member {', '.join(sorted(strangers))}")
            return {
                member.serialization.get("name", name): _spelled(member, value[name])
                for name, member in shape.members.items()
                if value.get(name) is not None and "location" not in member.serialization
            }
        case ListShape():
            return [_spelled(shape.member, one) for one in value]
        case MapShape():
            return {key: _spelled(shape.value, one) for key, one in value.items()}
    if isinstance(value, datetime):
        return round(value.timestamp(), 3)
    return value


def error_body(error: ApiError) -> bytes:
    """Clients look at one or the other, by their age and language."""
    return json.dumps({"__type": error.code, "Message": error.message, "message": error.message}, ensure_ascii=False).encode()
