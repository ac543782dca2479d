"""The connection to Redis or Valkey, one node or a cluster: what every other file of this folder talks through."""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.retry import Retry

from headrace.errors import HeadraceError, TerminalError, TransientError
from headrace.settings import RedisSettings

_DENIALS = (AuthenticationError, AuthorizationError, NoPermissionError)
_OUTAGES = (
    redis.ConnectionError,
    redis.TimeoutError,
    BusyLoadingError,
    OutOfMemoryError,
    ReadOnlyError,
    ClusterError,
    RedisClusterException,
    AskError,  # MovedError is one
    TryAgainError,
)
_PASSING_REPLIES = ("MISCONF", "BUSY", "NOREPLICAS", "UNBLOCKED", "LOADING", "OOM")
"""Of replies that redis-py has no class for. Where it has one, the first word is not in the text any more."""
_QUOTED = re.compile(r"['\"`].*", re.DOTALL)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Redis' errors as ours: what passes by waiting is transient, credentials are terminal, anything else is REDIS_REFUSED."""
    try:
        yield
    except (RedisError, RedisClusterException) as error:
        raise _ours(error, doing) from error


def _ours(error: Exception, doing: str) -> HeadraceError:
    said = str(error)
    if _is_distrust(error):
        return TerminalError(
            f"The certificate of Redis is not trusted while {doing}.",
            code="REDIS_DENIED",
            hint="Check HEADRACE_REDIS_CA_FILE, and the host's name.",
        )
    if isinstance(error, _DENIALS) or (isinstance(error, RedisClusterException) and isinstance(error.__cause__, _DENIALS)):
        return TerminalError(
            f"Redis refused the credentials while {doing}.", code="REDIS_DENIED", hint="Check HEADRACE_REDIS_URL and the ACL of its user."
        )
    if isinstance(error, _OUTAGES):
        return TransientError(f"Redis is not available while {doing} ({type(error).__name__}).", code="REDIS_UNAVAILABLE")
    if said.startswith(_PASSING_REPLIES):
        return TransientError(f"Redis can't do it now while {doing} ({said.split(' ')[0]}).", code="REDIS_UNAVAILABLE")
    # Neither of the two: waiting does not help, and it says nothing about a file that an import could be ended FAILED for. The import stays open.
    # What Redis quotes may be arguments: keys and values are not for logs.
    return HeadraceError(f"Redis refused while {doing}: {_QUOTED.sub('…', said)[:120]}.", code="REDIS_REFUSED")


def _is_distrust(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


@cache
def _script(name: str) -> tuple[str, str]:
    source = (files("profile_store") / "scripts" / f"{name}.lua").read_text(encoding="utf-8")
    return source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


READ_BYTES = 1 << 20
"""Of an answer at a time. redis-py's 64 KB would give the interpreter lock away thirty times for the records of one chunk."""


class Store:
    """Redis as this project sees it. `node_of(key)` is the server that owns a key; everything of one hash tag goes through it.

    No command is ever sent twice by the library: redis-py's retries are off, since a commit whose reply was lost must not be repeated
    blindly.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self.settings = settings
        options: dict[str, Any] = {
            "socket_timeout": settings.timeout_seconds,
            "socket_connect_timeout": settings.timeout_seconds,
            "retry": Retry(NoBackoff(), 0),
            "socket_read_size": READ_BYTES,
        }
        url = settings.url.get_secret_value()
        if settings.ca_file:
            options["ssl_ca_certs"] = settings.ca_file
        self._client: Any
        try:
            with translated("connecting"):
                if settings.cluster:
                    self._client = RedisCluster.from_url(url, **options)
                else:
                    self._client = redis.Redis.from_url(url, **options)
        except ValueError:
            # Not chained and not quoted: the URL may hold a password.
            raise TerminalError(
                "HEADRACE_REDIS_URL is no Redis URL.",
                code="REDIS_URL",
                hint="Write redis://[user:password@]host:port/0, or rediss:// for TLS.",
            ) from None

    @property
    def client(self) -> Any:
        """For single-key commands on small things; a cluster's client finds the node itself."""
        return self._client

    def close(self) -> None:
        self._client.close()

    def node_of(self, key: str) -> redis.Redis:
        """The server that owns `key`. Raises TransientError while the cluster has none for it."""
        if not self.settings.cluster:
            return self._client  # type: ignore[no-any-return]
        with translated("looking for the node of a key"):
            node = self._client.get_node_from_key(key)
            if node is None:
                raise TransientError("No node of the Redis Cluster owns the key now.", code="REDIS_UNAVAILABLE")
            return self._client.get_redis_connection(node)  # type: ignore[no-any-return]

    def nodes(self) -> list[redis.Redis]:
        """Every primary."""
        if not self.settings.cluster:
            return [self._client]
        return [self._client.get_redis_connection(node) for node in self._client.get_primaries()]

    @contextmanager
    def on_node_of(self, key: str, doing: str) -> Iterator[redis.Redis]:
        """`node_of(key)`, with errors translated; where the slot has moved, the map of the cluster is read again for the next attempt."""
        node = self.node_of(key)
        try:
            with translated(doing):
                yield node
        except TransientError:
            if self.settings.cluster:
                with translated("reading the cluster's slots"):
                    self._client.nodes_manager.initialize()
            raise

    def run_script(self, name: str, keys: list[str], arguments: list[Any]) -> Any:
        """Run `scripts/<name>.lua` on the node of its first key."""
        source, digest = _script(name)
        with self.on_node_of(keys[0], f"running {name}.lua") as node:
            try:
                return node.evalsha(digest, len(keys), *keys, *arguments)
            except NoScriptError:
                return node.eval(source, len(keys), *keys, *arguments)

    def check_safe(self) -> None:
        """Refuse a Redis that could lose what it acknowledged: evicting keys, or without the log that the durability setting relies on.

        Raises TerminalError saying which server setting to change; TransientError while it loads its data: its log is off for so long, whatever is set.
        """
        for node in self.nodes():
            with translated("reading the server's settings"):
                memory, persistence = node.info("memory"), node.info("persistence")
            if persistence.get("loading"):
                raise TransientError(f"Redis loads its data, {_loaded(persistence)} of it so far.", code="REDIS_UNAVAILABLE")
            policy = memory.get("maxmemory_policy")
            if policy != "noeviction":
                raise TerminalError(
                    f"Redis runs with maxmemory-policy {policy}, which drops profiles when memory is full.",
                    code="UNSAFE_REDIS",
                    hint="Set maxmemory-policy noeviction.",
                )
            if self.settings.durability != "everysec" and not persistence.get("aof_enabled"):
                raise TerminalError(
                    "Redis runs without an append-only file, so nothing it acknowledges is durable"
                    f" (HEADRACE_REDIS_DURABILITY={self.settings.durability}).",
                    code="UNSAFE_REDIS",
                    hint="Set appendonly yes.",
                )
            if self.settings.durability == "fsync_always" and self._fsync_of(node) not in ("always", None):
                raise TerminalError(
                    "Redis acknowledges before its disk has it (HEADRACE_REDIS_DURABILITY=fsync_always).",
                    code="UNSAFE_REDIS",
                    hint="Set appendfsync always, or HEADRACE_REDIS_DURABILITY=waitaof where the server has WAITAOF.",
                )

    def _fsync_of(self, node: redis.Redis) -> str | None:
        """The server's appendfsync; None where it does not let us ask (a managed Redis)."""
        with translated("reading the server's settings"):
            try:
                found: Any = node.config_get("appendfsync")
            except ResponseError:
                return None
        return text(found.get("appendfsync") or found.get(b"appendfsync")) or None


def _loaded(persistence: dict[str, Any]) -> str:
    return f"{float(persistence.get('loading_loaded_perc', 0)):.0f} %"


def text(value: bytes | str | None) -> str:
    """A reply as text; '' for none."""
    if value is None:
        return ""
    return value if isinstance(value, str) else value.decode()


__all__ = ["RedisError", "Store", "text", "translated"]
