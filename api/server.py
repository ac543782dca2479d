"""The API in a process: listens, answers, and lets what it began come to its end after SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from headrace.errors import TerminalError
from headrace.settings import ApiSettings

log = logging.getLogger("headrace.api")

KEEP_ALIVE_SECONDS = 75
BACKLOG = 512


REQUEST_SECONDS = 20.0
"""For the headers of a request, from the first byte of them; and for the first one from the connection's beginning."""


class _Protocol(H11Protocol):
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._waiting = self.loop.call_later(REQUEST_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Who sends headers byte by byte does not keep a connection for ever: uvicorn has no limit but for idle ones."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._waiting is None and not self.transport.is_closing():
            self._waiting = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def shutdown(self) -> None:
        """An idle client is not waited for: over TLS it would be for half a minute, to hear it say goodbye."""
        idle = self.cycle is None or self.cycle.response_complete
        super().shutdown()
        if idle and not self.transport.get_write_buffer_size():
            self.transport.abort()


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn asks those to end whom it knows when it begins. Who was let in at that moment is asked here: else it would be waited for to the last."""
        asking = asyncio.create_task(self._ask_late_ones(set(self.server_state.connections)))
        try:
            await super().shutdown(sockets)
        finally:
            asking.cancel()

    async def _ask_late_ones(self, asked: set[object]) -> None:
        while True:
            await asyncio.sleep(0.05)
            for connection in self.server_state.connections - asked:
                asked.add(connection)
                connection.shutdown()


class ApiServer:
    """`run()` until SIGTERM, SIGINT or `stop()`; `url` is known before."""

    def __init__(self, app: ASGIApp, settings: ApiSettings) -> None:
        """Takes the port. Raises TerminalError where it is somebody's, or the certificate is none."""
        config = uvicorn.Config(
            app,
            http=_Protocol,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            # Paths of uploads are signed: whoever reads them can use them.
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=settings.max_connections + 1,  # the one that is answered 503 is among them
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, int(settings.drain_seconds)),
            ssl_certfile=settings.certificate_file or None,
            ssl_keyfile=settings.key_file or None,
        )
        try:
            config.load()
        except (OSError, ValueError) as error:
            raise TerminalError(
                f"The certificate or its key can't be read ({type(error).__name__}).",
                code="API_CERTIFICATE",
                hint="Check HEADRACE_API_CERTIFICATE_FILE and HEADRACE_API_KEY_FILE.",
            ) from None
        self._socket = _listening(settings)
        self._server = _Server(config)
        scheme = "https" if settings.certificate_file else "http"
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.url = f"{scheme}://{host}:{self._socket.getsockname()[1]}"

    def run(self, started: Callable[[], None] = lambda: None) -> None:
        """`started` is called when the port is open, and before the first request is answered."""
        started()
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """From another thread: as SIGTERM."""
        self._server.should_exit = True


def _listening(settings: ApiSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise TerminalError(
            f"Nobody can listen on {settings.host}:{settings.port} ({error.strerror}).",
            code="PORT_IN_USE",
            hint="Set HEADRACE_API_HOST and HEADRACE_API_PORT to what is free; port 0 is any.",
        ) from None
