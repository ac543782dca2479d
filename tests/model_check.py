"""What the API's model allows, looked up in botocore's JSON and written anew: to judge what the API accepts, by nothing that the API is made of."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from botocore.loaders import Loader

_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "double": (int, float),
    "timestamp": (int, float),
}


@cache
def _model() -> dict[str, Any]:
    found: dict[str, Any] = Loader().load_service_model("customer-profiles", "service-2")
    return found


def wrong_input(operation: str, values: dict[str, Any]) -> str:
    """The first thing that is wrong with an input of an operation; '' for nothing. `values`: as JSON has them, by members' names; null is none."""
    return _wrong(_model()["operations"][operation]["input"]["shape"], values)


def locations(operation: str) -> dict[str, tuple[str, str]]:
    """Member → where it travels (`uri`, `querystring`, '' for the body), and its name there."""
    members = _model()["shapes"][_model()["operations"][operation]["input"]["shape"]]["members"]
    return {name: (one.get("location", ""), one.get("locationName", name)) for name, one in members.items()}


def path_of(operation: str) -> str:
    """`/domains/{DomainName}/upload-jobs`."""
    return str(_model()["operations"][operation]["http"]["requestUri"])


def type_of(operation: str, member: str) -> str:
    members = _model()["shapes"][_model()["operations"][operation]["input"]["shape"]]["members"]
    return str(_model()["shapes"][members[member]["shape"]]["type"])


def _wrong(name: str, value: Any) -> str:
    shape = _model()["shapes"][name]
    kind = shape["type"]
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return f"{name}: a {type(value).__name__}"
    size = _size(kind, value)
    if not shape.get("min", size) <= size <= shape.get("max", size):
        return f"{name}: {size}"
    return _wrong_inside(name, shape, value)


def _size(kind: str, value: Any) -> Any:
    """What `min` and `max` are about."""
    if kind in ("integer", "long", "double"):
        return value
    return 0 if kind in ("boolean", "timestamp", "structure") else len(value)


def _wrong_inside(name: str, shape: dict[str, Any], value: Any) -> str:
    match shape["type"]:
        case "structure":
            return _wrong_structure(name, shape, {key: one for key, one in value.items() if one is not None})
        case "list":
            return next((found for one in value if (found := _wrong(shape["member"]["shape"], one))), "")
        case "map":
            pairs = [(shape[part]["shape"], one) for pair in value.items() for part, one in zip(("key", "value"), pair, strict=True)]
            return next((found for kind, one in pairs if (found := _wrong(kind, one))), "")
        case "string":
            return _wrong_text(name, shape, value)
    return ""


def _wrong_structure(name: str, shape: dict[str, Any], there: dict[str, Any]) -> str:
    strange, missing = there.keys() - shape["members"].keys(), set(shape.get("required", ())) - there.keys()
    if strange or missing:
        return f"{name}: strange {sorted(strange)}, missing {sorted(missing)}"
    if shape.get("union") and len(there) != 1:
        return f"{name}: {len(there)} of a union"
    return next((found for key, one in there.items() if (found := _wrong(shape["members"][key]["shape"], one))), "")


def _wrong_text(name: str, shape: dict[str, Any], value: str) -> str:
    if any("\ud800" <= one <= "\udfff" for one in value):
        return f"{name}: no Unicode"
    if "enum" in shape and value not in shape["enum"]:
        return f"{name}: none of its words"
    if "pattern" in shape and not re.search(rf"\A(?:{shape['pattern'].removeprefix('^').removesuffix('$')})\Z", value):
        return f"{name}: not like its pattern"
    return ""
