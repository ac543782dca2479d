"""The connection to Redis or Valkey, one node or a cluster: what every other file of this folder talks through."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.exceptions import (
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
)
from redis.retry import Retry

from headrace.errors import TerminalError, TransientError
from headrace.settings import RedisSettings

_PASSING_REPLIES = (
    "OOM",
    "LOADING",
    "READONLY",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "MOVED",
    "ASK",
    "MISCONF",
    "BUSY",
    "NOREPLICAS",
    "UNBLOCKED",
)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Redis' errors as ours: what passes by waiting is transient, what needs a person is terminal."""
    try:
        yield
    except (AuthenticationError, AuthorizationError, NoPermissionError) as error:
        raise TerminalError(
            f"Redis refused the credentials while {doing}.", code="REDIS_DENIED", hint="Check HEADRACE_REDIS_URL and the ACL of its user."
        ) from error
    except (
        redis.ConnectionError,
        redis.TimeoutError,
        BusyLoadingError,
        OutOfMemoryError,
        ReadOnlyError,
        ClusterError,
        RedisClusterException,
    ) as error:
        raise TransientError(f"Redis is not available while {doing} ({type(error).__name__}).", code="REDIS_UNAVAILABLE") from error
    except ResponseError as error:
        if str(error).startswith(_PASSING_REPLIES):
            raise TransientError(f"Redis can't do it now while {doing} ({str(error).split(' ')[0]}).", code="REDIS_UNAVAILABLE") from error
        raise


@cache
def _script(name: str) -> tuple[str, str]:
    source = (files("profile_store") / "scripts" / f"{name}.lua").read_text(encoding="utf-8")
    return source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


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
        }
        url = settings.url.get_secret_value()
        self._client: Any
        with translated("connecting"):
            if settings.cluster:
                self._client = RedisCluster.from_url(url, **options)
            else:
                self._client = redis.Redis.from_url(url, **options)

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

        Raises TerminalError saying which server setting to change.
        """
        for node in self.nodes():
            with translated("reading the server's settings"):
                memory, persistence = node.info("memory"), node.info("persistence")
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


def text(value: bytes | str | None) -> str:
    """A reply as text; '' for none."""
    if value is None:
        return ""
    return value if isinstance(value, str) else value.decode()


__all__ = ["RedisError", "Store", "text", "translated"]
