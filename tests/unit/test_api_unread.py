"""Requests that nobody can have signed are refused before anything of their bodies is read (SPEC U12)."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from api import app
from api.trail import Trail
from headrace.settings import ApiSettings
from tests.signed import KEY_ID, SECRET, signed


def refused_as(monkeypatch: pytest.MonkeyPatch, headers: tuple[tuple[str, str], ...], secrets: dict[str, str]) -> tuple[int, str, int]:
    """Status and error of a POST whose body comes wrong, and how often its body was asked for."""
    monkeypatch.setattr(app, "Dispatcher", lambda _services, _trail: None)
    principals: Any = SimpleNamespace(current=lambda: SimpleNamespace(secret_of=secrets.get))
    services: Any = SimpleNamespace(settings=SimpleNamespace(api=ApiSettings()))
    sent: list[Any] = []
    asked: list[int] = []

    async def receive() -> Any:
        asked.append(1)
        return {"type": "http.request", "body": b"{", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    request = signed("create_domain", DomainName="retail", DefaultExpirationDays=1)[0]
    scope = {
        "type": "http",
        "scheme": "http",
        "method": "POST",
        "raw_path": request.path.encode(),
        "path": request.path,
        "query_string": b"",
    }
    scope["headers"] = [(name.encode(), value.encode()) for name, value in headers]
    asyncio.run(app.Api(services, principals, Trail(services, 1))(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"])[b"x-amzn-errortype"].decode(), len(asked)


@pytest.mark.spec("U12")
def test_a_body_is_read_of_those_alone_who_may_have_signed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = signed("create_domain", DomainName="retail", DefaultExpirationDays=1)[0].headers
    unsigned = tuple(one for one in headers if one[0] != "authorization")
    assert refused_as(monkeypatch, unsigned, {KEY_ID: SECRET}) == (403, "MissingAuthenticationTokenException", 0)
    assert refused_as(monkeypatch, (*unsigned, ("authorization", "Basic eA==")), {KEY_ID: SECRET}) == (
        403,
        "IncompleteSignatureException",
        0,
    )
    assert refused_as(monkeypatch, headers, {}) == (403, "UnrecognizedClientException", 0)
    undated = tuple((name, "20200101T000000Z" if name == "x-amz-date" else value) for name, value in headers)
    assert refused_as(monkeypatch, undated, {KEY_ID: SECRET}) == (403, "InvalidSignatureException", 0)
    assert refused_as(monkeypatch, headers, {KEY_ID: SECRET}) == (403, "InvalidSignatureException", 1)
