"""An HTTP gateway before an S3 server that makes it behave like other S3 servers do: ignore a header, deny an operation, keep a condition.

Real servers differ: some ignore If-Match, some ignore the condition on a copy, some keys may not copy. Each `rule` sees a request
before it is forwarded: it may change its headers, or answer itself.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from types import TracebackType

_NOT_FORWARDED = {"transfer-encoding", "connection", "content-length"}


@dataclass
class Request:
    """`headers` by lower-case name; `path` with its query, as sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    ending: Literal["length", "chunked", "broken"] = "length"
    """`chunked`: sent without a Content-Length, so that a short body ends like a whole one. `broken`: chunked, and cut before its end."""


Rule = Callable[[Request], Answer | None]


def refusal(status: int, code: str) -> Answer:
    """An error as S3 sends it."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>as the test wants it</Message></Error>"
    return Answer(status, body.encode(), {"Content-Type": "application/xml"})


class S3Gateway:
    """`with S3Gateway(upstream_url) as gateway:` serves at `gateway.url`. `seen` holds every request, as the client sent it."""

    def __init__(self, upstream_url: str) -> None:
        self._upstream = urlsplit(upstream_url).netloc
        self.rules: list[Rule] = []
        self.seen: list[Request] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.host, self.port = "127.0.0.1", int(self._server.server_address[1])
        self.url = f"http://{self.host}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> S3Gateway:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: Request) -> Answer:
        self.seen.append(Request(request.method, request.path, dict(request.headers), request.body))
        for rule in self.rules:
            if (answer := rule(request)) is not None:
                return answer
        return self.forward(request)

    def forward(self, request: Request) -> Answer:
        connection = http.client.HTTPConnection(self._upstream, timeout=60)
        try:
            connection.request(request.method, request.path, body=request.body, headers=request.headers)
            response = connection.getresponse()
            body = response.read()
            headers = {name: value for name, value in response.getheaders() if name.lower() not in _NOT_FORWARDED}
            if request.method == "HEAD":
                headers["Content-Length"] = response.getheader("Content-Length") or "0"
            return Answer(response.status, body, headers)
        finally:
            connection.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class's name
                return

            def do_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items() if name.lower() not in _NOT_FORWARDED | {"expect"}}
                answer = gateway.answer(Request(self.command, self.path, headers, body))
                self.send_response_only(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if answer.ending != "length":
                    self.send_header("Transfer-Encoding", "chunked")
                elif "Content-Length" not in answer.headers:
                    self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body if answer.ending == "length" else b"%x\r\n%s\r\n" % (len(answer.body), answer.body))
                if answer.ending == "chunked":
                    self.wfile.write(b"0\r\n\r\n")
                self.close_connection = self.close_connection or answer.ending == "broken"

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_any  # noqa: N815 the base class's names

        return Handler
