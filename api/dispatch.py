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
from api.trail import Trail
from profile_store.signatures import Use, use_of

DOMAIN = "DomainName"
THROTTLED, UNKNOWN, FAILED = "ThrottlingException", "UnknownOperationException", "InternalServerException"
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
    def __init__(self, services: Services, trail: Trail) -> None:
        self._services = services
        self._trail = trail
        settings = services.settings.api
        self._buckets = TokenBuckets(settings.requests_per_second, settings.burst)
        self._remember_seconds = 2 * settings.clock_seconds + 60

    def answer(self, request: Verified) -> Answer:
        """Raises ApiError, HeadraceError; anything else is a bug."""
        if not self._buckets.take(request.principal.name):
            self.note_refused(request, THROTTLED)
            raise throttled("Too many calls at once. Wait for a moment, then try again.")
        route = find_route(request.method, request.path)
        if route is None:
            self.note_refused(request, UNKNOWN)
            raise ApiError(UNKNOWN, 404, "The model of the API has no such operation.")
        name = route.operation.name
        try:
            handler = _handler_of(name)
            call = self._call(request, route)
        except ApiError as error:
            self.note_refused(request, error.code)
            raise
        except Exception:
            self.note_refused(request, FAILED)
            raise
        self._note(request, route)
        return Answer(name, route.operation.status, serialize.output_body(route.operation, handler(call)))

    def note_refused(self, request: Verified, code: str) -> None:
        """Whoever may call at all can be refused as often as he likes, and so can who has listened in: those entries are not for ever."""
        who, what, about, names = _said(request, find_route(request.method, request.path))
        self._trail.refused(who, what, about, code, request=request.request_id, **names)

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
        """A client that makes equal calls within a second signs the second one anew, as SDKs do when they are throttled: a second later, so that whatever its
        first try to do so is signed with another one."""
        match use_of(self._services.store, request.signature, request.attempt, self._remember_seconds):
            case Use.ANOTHER:
                raise throttled("An equal call was made in this very second, and has the same signature. Sign it anew.", after=1.0)
            case Use.REPLAY:
                raise ApiError("InvalidSignatureException", 403, "This very request was made before. Sign it anew to repeat it.")

    def _note(self, request: Verified, route: Route) -> None:
        """Before it is done. Names and ids of the path alone: what is in the body may be personal."""
        who, what, about, names = _said(request, route)
        write = self._trail.read if may_repeat(what) else self._trail.change
        write(who, what, about, request=request.request_id, **names)


def _said(request: Verified, route: Route | None) -> tuple[str, str, str, dict[str, str]]:
    """Who calls, which operation ('unknown'), about what, and further names."""
    labels = {} if route is None else route.labels
    names = {name: text for name, text in labels.items() if text is not None and _NAME.fullmatch(text)}
    domain = names.pop(DOMAIN, "")
    about = f"domain {domain}" if domain else "the API"
    return f"api:{request.principal.name}", "unknown" if route is None else route.operation.name, about, names


def _handler_of(name: str) -> Handler:
    found = OPERATIONS.get(name)
    if found is None:
        raise bad_request(f"Headrace does not do {name}. It does: {', '.join(sorted(OPERATIONS))}.")
    return found
