"""/health and /metrics of a merge worker."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from streaming.metrics import REGISTRY


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the library
        pass


def serve(host: str, port: int, health: Callable[[], tuple[bool, dict[str, Any]]]) -> WSGIServer:
    """Serve in a thread; `health()` gives whether all is well, and what to say. The server's port is in `.server_port`."""
    metrics_app = make_wsgi_app(REGISTRY)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                answer: Iterable[bytes] = metrics_app(environ, start_response)
                return answer
            case "/health":
                well, said = health()
                start_response("200 OK" if well else "503 Service Unavailable", [("Content-Type", "application/json")])
                return [json.dumps(said).encode()]
            case _:
                start_response("404 Not Found", [("Content-Type", "text/plain")])
                return [b"There is /health and /metrics.\n"]

    server = make_server(host, port, app, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
