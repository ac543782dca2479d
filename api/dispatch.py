"""A signed request → its answer: who may do it, what exactly is asked, once only, noted, done."""

from __future__ import annotations

import re
from dataclasses import dataclass

from api import parse, serialize
from api.call import Call, Handler, Services
from api.errors import ApiError, bad_request, denied, throttled
from api.limits import TokenBuckets
from api.model import Route, find_route
from api.operations import OPERATIONS, may_repeat
from api.principals import Principal
from profile_store import audit
from profile_store.signatures import Use, use_of

DOMAIN = "DomainName"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Verified:
    """A request whose signature is right, whole. `path` and `query` are as they were signed; `attempt`: what the client's SDK calls it, which is not."""

    method: str
    path: str
    query: str
    body: bytes
    principal: Principal
    signature: str
    attempt: str
    request_id: str
    base_url: str


@dataclass(frozen=True, slots=True)
class Answer:
    """`operation`: for metrics, '' where none was found; `error`: its name, '' for none."""

    operation: str
    status: int
    body: bytes
    error: str = ""


def refused(error: ApiError, operation: str = "") -> Answer:
    return Answer(operation, error.status, serialize.error_body(error), error.code)


class Dispatcher:
    def __init__(self, services: Services) -> None:
        self._services = services
        settings = services.settings.api
        self._buckets = TokenBuckets(settings.requests_per_second, settings.burst)
        self._remember_seconds = 2 * settings.clock_seconds + 60

    def answer(self, request: Verified) -> Answer:
        """Raises ApiError, HeadraceError; anything else is a bug."""
        route = find_route(request.method, request.path)
        if route is None:
            raise ApiError("UnknownOperationException", 404, "The model of the API has no such operation.")
        name = route.operation.name
        if not self._buckets.take(request.principal.name):
            raise throttled("Too many calls at once. Wait for a moment, then try again.")
        try:
            handler = _handler_of(name)
            call = self._call(request, route)
        except ApiError as error:
            self._note(request, route, refused=error.code)
            raise
        self._note(request, route)
        return Answer(name, route.operation.status, serialize.output_body(route.operation, handler(call)))

    def _call(self, request: Verified, route: Route) -> Call:
        name, domain = route.operation.name, route.labels.get(DOMAIN)
        if not request.principal.may(name, domain):
            where = f" in domain {domain}" if domain is not None and _NAME.fullmatch(domain) else ""
            raise denied(f"Principal {request.principal.name} is not allowed to do {name}{where}.")
        values = parse.read_input(route, request.query, request.body)
        if not may_repeat(name):
            self._refuse_second_use(request)
        return Call(name, values, request.principal, self._services, request.request_id, request.base_url)

    def _refuse_second_use(self, request: Verified) -> None:
        """A client that makes equal calls within a second waits and signs anew, as SDKs do when they are throttled."""
        match use_of(self._services.store, request.signature, request.attempt, self._remember_seconds):
            case Use.ANOTHER:
                raise throttled(
                    "An equal call was made in this very second, and has the same signature. Wait for a second, then sign it anew."
                )
            case Use.REPLAY:
                raise ApiError("InvalidSignatureException", 403, "This very request was made before. Sign it anew to repeat it.")

    def _note(self, request: Verified, route: Route, **detail: str) -> None:
        """Before it is done. Names and ids of the path alone: what is in the body may be personal."""
        names = {name: text for name, text in route.labels.items() if text is not None and _NAME.fullmatch(text)}
        domain = names.pop(DOMAIN, "")
        about = f"domain {domain}" if domain else "the API"
        who = f"api:{request.principal.name}"
        audit.note(self._services.store, route.operation.name, about, who, request=request.request_id, **names, **detail)


def _handler_of(name: str) -> Handler:
    found = OPERATIONS.get(name)
    if found is None:
        raise bad_request(f"Headrace does not do {name}. It does: {', '.join(sorted(OPERATIONS))}.")
    return found
