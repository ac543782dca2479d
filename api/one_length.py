"""Requests whose length can be read in two ways are refused before anything else: a proxy in front may have read the other one, and would take the
rest of the body for the next request, somebody else's (request smuggling)."""

from __future__ import annotations

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_LENGTHS = (b"content-length", b"transfer-encoding")


class OneLength:
    """An ASGI middleware. What differs within one of the two headers the HTTP parser refuses."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and sum(name in _LENGTHS for name, _ in scope["headers"]) > 1:
            refusal = PlainTextResponse("A request has either Content-Length or Transfer-Encoding.", 400, {"connection": "close"})
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)
