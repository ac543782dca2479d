"""The API's end: who was let in at that very moment is asked to end, too (SPEC U12)."""

from __future__ import annotations

import contextlib
import http.client
import select
import threading
import time
from collections.abc import Generator
from typing import Any

import pytest

from api.server import ApiServer
from headrace.settings import ApiSettings
from tests.polling import eventually

DRAIN_SECONDS = 20


class _Step:
    """One round of the event loop."""

    def __await__(self) -> Generator[None, None, None]:
        yield


async def _answer(_scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


@pytest.mark.parametrize("steps", range(6))
def test_who_is_let_in_at_the_last_moment_is_not_waited_for(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`steps` of the event loop after the connection came, the server is told to end: with some number it is known to nobody yet."""
    server = ApiServer(_answer, ApiSettings(port=0, drain_seconds=DRAIN_SECONDS))
    inner = server._server
    client = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=1)
    looks = 0

    async def on_tick(_counter: int) -> bool:
        nonlocal looks
        looks += 1
        if looks < 3:
            return False
        client.putrequest("POST", "/")
        client.putheader("Content-Length", "1")
        client.endheaders()
        assert select.select([server._socket], [], [], 5)[0], "it waits to be let in"
        for _ in range(steps):
            await _Step()
        return True

    monkeypatch.setattr(inner, "on_tick", on_tick)
    thread = threading.Thread(target=server.run)
    thread.start()
    eventually(lambda: looks >= 3, within=10, what="the server is told to end")
    eventually(lambda: server._socket.fileno() < 0, within=10, what="nobody else is let in")
    with contextlib.suppress(OSError):  # whom it has not let in
        client.send(b"x")
        assert client.getresponse().status == 200
    began = time.monotonic()
    thread.join(DRAIN_SECONDS + 10)
    assert time.monotonic() - began < DRAIN_SECONDS / 2
    client.close()
