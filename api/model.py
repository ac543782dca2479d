"""The operations of the API as botocore's own model of `customer-profiles` has them: there is no second description of it here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote_to_bytes

from botocore.model import OperationModel, ServiceModel
from botocore.session import Session

SERVICE = "customer-profiles"
SIGNING_NAME = "profile"


@cache
def service_model() -> ServiceModel:
    return Session().get_service_model(SERVICE)


@dataclass(frozen=True, slots=True)
class Operation:
    """`template`: of the path, a part each; one in braces is a member of the input."""

    name: str
    method: str
    template: tuple[str, ...]
    model: OperationModel
    status: int

    def match(self, parts: tuple[str, ...]) -> dict[str, str] | None:
        """The raw texts that stand for the members in a path that has as many parts; None where it is another operation's."""
        found = {}
        for wanted, part in zip(self.template, parts, strict=True):
            if wanted.startswith("{"):
                found[wanted.strip("{}")] = part
            elif wanted != part:
                return None
        return found


@dataclass(frozen=True, slots=True)
class Route:
    """`labels`: location name → text, or None where it is not even UTF-8."""

    operation: Operation
    labels: dict[str, str | None]


@cache
def operations() -> dict[str, Operation]:
    return {name: _operation(service_model().operation_model(name)) for name in service_model().operation_names}


def _operation(model: OperationModel) -> Operation:
    path = model.http["requestUri"].partition("?")[0]
    return Operation(model.name, model.http["method"], _parts(path), model, model.http.get("responseCode", 200))


def _parts(path: str) -> tuple[str, ...]:
    return tuple(path.strip("/").split("/"))


@cache
def _table() -> dict[tuple[str, int], list[Operation]]:
    """By method and number of parts, those with the most literal parts first: `/profiles/keys` before `/profiles/{ProfileId}`."""
    found: dict[tuple[str, int], list[Operation]] = {}
    for one in sorted(operations().values(), key=lambda each: sum(part.startswith("{") for part in each.template)):
        found.setdefault((one.method, len(one.template)), []).append(one)
    return found


def find_route(method: str, raw_path: str) -> Route | None:
    """`raw_path`: still percent-encoded, as it was signed."""
    parts = _parts(raw_path)
    for one in _table().get((method, len(parts)), ()):
        found = one.match(parts)
        if found is not None:
            return Route(one, {name: _decoded(text) for name, text in found.items()})
    return None


def operation_at(method: str, raw_path: str) -> str:
    """The name of the operation that a path is of; '' for none."""
    found = find_route(method, raw_path)
    return "" if found is None else found.operation.name


def _decoded(text: str) -> str | None:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return None
