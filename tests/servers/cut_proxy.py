"""A TCP proxy on loopback that can break connections at a chosen byte. It knows no protocol: S3, Redis and Kafka all go through."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from types import TracebackType

Direction = Literal["response", "request"]
_CHUNK = 1 << 16


@dataclass
class _Cut:
    direction: Direction
    after_bytes: int
    times: int
    passed: int = 0


class CutProxy:
    """`with CutProxy(host, port) as proxy:` listens on `proxy.host`, `proxy.port` and forwards to host and port.

    `cut(after_bytes, times=n)` arms it: when that many more bytes of the direction have passed, over all connections together, the
    connection that carried the last of them is closed on both sides, exactly after that byte; then it counts again, `times` times in
    all. `cut(0)` lets no byte of the next answer through: the server has done what was asked and the client doesn't know.
    `cut(0, direction="request")` breaks before the server hears of it.
    """

    def __init__(self, upstream_host: str, upstream_port: int) -> None:
        self._upstream = (upstream_host, upstream_port)
        self._lock = threading.Lock()
        self._cut: _Cut | None = None
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host: str = self._listener.getsockname()[0]
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        """Accepted so far."""
        self.cuts = 0
        """Connections broken so far."""
        threading.Thread(target=self._accept, daemon=True, name=f"cut-proxy-{self.port}").start()

    def __enter__(self) -> CutProxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def cut(self, after_bytes: int, *, times: int = 1, direction: Direction = "response") -> None:
        """Arms the proxy, in place of what it was armed with. `times=0` disarms it."""
        with self._lock:
            self._cut = _Cut(direction, after_bytes, times) if times else None

    def forward_to(self, upstream_host: str, upstream_port: int) -> None:
        """From now on. Every connection there is is closed."""
        self._upstream = (upstream_host, upstream_port)
        self._break_all()

    def close(self) -> None:
        """Closes the listener and every connection."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._break_all()

    def _break_all(self) -> None:
        with self._lock:
            open_sockets = list(self._sockets)
        for each in open_sockets:
            self._break(each)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                server = socket.create_connection(self._upstream)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._sockets |= {client, server}
            for source, target, direction in ((client, server, "request"), (server, client, "response")):
                threading.Thread(target=self._pump, args=(source, target, direction), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, direction: Direction) -> None:
        try:
            while data := source.recv(_CHUNK):
                allowed = self._allowed(len(data), direction)
                if allowed is not None:
                    target.sendall(data[:allowed])
                    break
                target.sendall(data)
        except OSError:
            pass
        self._break(source)
        self._break(target)

    def _allowed(self, size: int, direction: Direction) -> int | None:
        """How many of `size` bytes still pass before the cut; None: all, and no cut."""
        with self._lock:
            cut = self._cut
            if cut is None or cut.direction != direction:
                return None
            cut.passed += size
            if cut.passed < cut.after_bytes:
                return None
            allowed = size - (cut.passed - cut.after_bytes)
            cut.passed = 0
            cut.times -= 1
            self.cuts += 1
            if not cut.times:
                self._cut = None
            return allowed

    def _break(self, each: socket.socket) -> None:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
        with self._lock:
            self._sockets.discard(each)
