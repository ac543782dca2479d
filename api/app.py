"""The API as an ASGI application: reads a request, has its signature verified, has it answered, and tells what went wrong."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from api import metrics
from api.call import Services
from api.dispatch import THROTTLED, Answer, Dispatcher, Verified, refused
from api.errors import ApiError, of_headrace, throttled
from api.limits import Places
from api.live_principals import LivePrincipals
from api.model import operation_at
from api.observed import health, metrics_page, ready
from api.one_length import OneLength
from api.signature import SignedRequest, refuse_unread, verify
from api.trail import Trail
from api.upload_put import upload_routes
from headrace.errors import HeadraceError

log = logging.getLogger("headrace.api")

BODY_SECONDS = 30.0
WAIT_SECONDS = 5.0
"""For one of the places that calls are worked on at."""

_ATTEMPT = ("amz-sdk-invocation-id", "amz-sdk-request")
AMZ_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class _Received:
    """What is signed of a request, and its body; nothing of either was looked at."""

    signed: SignedRequest
    body: bytes
    base_url: str


class Api:
    """The operations. `services` outlive it."""

    def __init__(self, services: Services, principals: LivePrincipals, trail: Trail) -> None:
        self._settings = services.settings.api
        self._principals = principals
        self._dispatcher = Dispatcher(services, trail)
        self._places = Places(self._settings.max_concurrency)
        self._threads = ThreadPoolExecutor(self._settings.max_concurrency, thread_name_prefix="call")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = str(uuid.uuid4())
        began = time.monotonic()
        headers = {"x-amzn-requestid": request_id}
        try:
            answer = await self._answer(Request(scope, receive), request_id)
        except ClientDisconnect:
            return
        except ApiError as error:
            answer = refused(error)
        if answer.error:
            headers["x-amzn-errortype"] = answer.error
            metrics.REFUSED.labels(answer.error).inc()
        seconds = time.monotonic() - began
        metrics.CALLS.labels(answer.operation, str(answer.status)).inc()
        metrics.CALL_SECONDS.labels(answer.operation).observe(seconds)
        log.info("%s %s %d %.0f ms", request_id, f"{answer.operation} {answer.error}".strip(), answer.status, 1000 * seconds)
        await Response(answer.body, answer.status, headers, AMZ_JSON)(scope, receive, send)

    async def _answer(self, request: Request, request_id: str) -> Answer:
        """Raises ApiError for what nobody has signed."""
        received = await self._receive(request)
        principals = self._principals.current()
        settings = self._settings
        signer = verify(received.signed, principals.secret_of, datetime.now(UTC), settings.clock_seconds, settings.region)
        verified = Verified(
            received.signed.method,
            received.signed.path,
            received.signed.query,
            received.body,
            principals.owners[signer.access_key_id],
            signer.signature,
            " ".join(value for name, value in received.signed.headers if name in _ATTEMPT),
            request_id,
            received.base_url,
        )
        try:
            return await self._work_on(verified)
        except ApiError as error:
            await asyncio.sleep(error.after)  # in none of the places
            return refused(error, operation_at(verified.method, verified.path))

    async def _work_on(self, verified: Verified) -> Answer:
        """In one of the places. Raises ApiError, whatever happened."""
        async with AsyncExitStack() as place:
            try:
                await place.enter_async_context(self._places.taken(verified.principal.name, WAIT_SECONDS))
            except TimeoutError:
                self._dispatcher.note_refused(verified, THROTTLED)
                raise throttled("Too many calls are worked on. Wait for a moment, then try again.") from None
            with metrics.RUNNING.track_inprogress():
                return await asyncio.get_running_loop().run_in_executor(self._threads, self._safely, verified)

    def _safely(self, verified: Verified) -> Answer:
        """What a client can't help is said in general only, and told to the log by its place: messages may hold what clients sent."""
        try:
            return self._dispatcher.answer(verified)
        except ApiError:
            raise
        except HeadraceError as error:
            told = of_headrace(error)
            if told is not None:
                raise told from error
            log.error("%s %s", verified.request_id, error)  # noqa: TRY400 - the message says it all
        except Exception as error:  # noqa: BLE001 - a bug must not leave a client without an answer
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("%s %s\n%s", verified.request_id, type(error).__name__, where)  # noqa: TRY400 - without the message
        raise ApiError(
            "InternalServerException", 500, f"Something went wrong; the log of the API says more of request {verified.request_id}."
        )

    async def _receive(self, request: Request) -> _Received:
        limit = self._settings.max_body_bytes
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > limit:
            raise _too_large(limit)
        unread = _unread(request.scope)
        refuse_unread(unread, self._principals.current().secret_of, datetime.now(UTC), self._settings.clock_seconds, self._settings.region)
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > limit:
                        raise _too_large(limit)
        except TimeoutError:
            raise ApiError("RequestTimeoutException", 408, f"The body did not arrive within {BODY_SECONDS:g} s.") from None
        base_url = self._settings.public_url.rstrip("/") or f"{request.scope['scheme']}://{request.headers.get('host', '')}"
        return _Received(replace(unread, body_hash=sha256(body).hexdigest()), bytes(body), base_url)


def _unread(scope: Scope) -> SignedRequest:
    """A request whose body did not come yet: its hash is ''."""
    return SignedRequest(
        scope["method"],
        scope["raw_path"].decode("latin-1"),
        scope["query_string"].decode("latin-1"),
        tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]),
        "",
    )


def _too_large(limit: int) -> ApiError:
    return ApiError("RequestEntityTooLargeException", 413, f"The body has more than {limit:,} bytes.")


def make_app(services: Services, principals: LivePrincipals) -> Starlette:
    """`state.trail` is to be closed behind it."""
    trail = Trail(services.store, services.settings.api.audit_reads)
    routes = [
        Route("/health", health),
        Route("/ready", ready),
        Route("/metrics", metrics_page),
        *upload_routes(trail),
        Mount("/", app=Api(services, principals, trail)),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(OneLength)])
    app.state.services = services
    app.state.trail = trail
    return app
