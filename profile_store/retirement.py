"""The end of a domain: its profiles, segments and ledgers go; the numbers of its imports stay (SPEC U14).

A domain that gets the name later goes on counting where this one stopped, imports and messages between partitions alike. So what is still in Kafka, or in a
worker that still runs, can't be taken for its own: it is below its floor, and behind its fences.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from headrace.errors import TransientError
from headrace.failpoints import step
from profile_store import keys
from profile_store.durability import barrier
from profile_store.store import Store, text, translated

_KEPT = ("sequence", "floor", "mark", "open", "retired", "import", "result", "claim")
_AT_ONCE = 1_000
CLAIM_SECONDS = 60
_PATIENCE_SECONDS, _LOOK_SECONDS = 10.0, 0.1


@contextmanager
def claimed(store: Store, domain: str) -> Iterator[Callable[[], None]]:
    """Nobody else makes or drops the domain while the block runs; what it is given is to be called now and then. Raises TransientError."""
    key, owner = keys.claim(domain), secrets.token_hex(8)

    def renew() -> None:
        store.client.expire(key, CLAIM_SECONDS)

    until = time.monotonic() + _PATIENCE_SECONDS
    with translated("claiming a domain"):
        while not store.client.set(key, owner, nx=True, ex=CLAIM_SECONDS):
            if time.monotonic() > until:
                raise TransientError(f"Domain {domain} is being made or deleted.", code="DOMAIN_BUSY", hint="Try again in a moment.")
            time.sleep(_LOOK_SECONDS)
    try:
        yield renew
    finally:
        with translated("giving a domain back"):
            if text(store.client.get(key)) == owner:
                store.client.delete(key)


def retire(store: Store, domain: str, partitions: int) -> bool:
    """Whether the domain is gone: False while an import of it is not over, or an upload job has to be looked after.

    Who repeats it goes on where the last one died. Raises TransientError."""
    with claimed(store, domain) as renew:
        with translated("retiring a domain"):
            store.client.sadd(keys.retiring(), domain)
        names = (keys.domain, keys.schema, keys.open_imports, keys.sequence, keys.floor, keys.retired, keys.open_upload_jobs)
        with step("retire_domain"):
            gone = store.run_script("retire_domain", [name(domain) for name in names], [partitions])
        if not gone:
            with translated("retiring a domain"):
                store.client.srem(keys.retiring(), domain)
            return False
        _drop(store, domain, renew)
    return True


def retiring_domains(store: Store) -> tuple[str, ...]:
    """Of which something may be left: whoever dropped it died."""
    with translated("listing domains"):
        return tuple(sorted(text(name) for name in store.client.smembers(keys.retiring())))


def finish_retiring(store: Store) -> None:
    """What others have left half done. Raises TransientError."""
    for domain in retiring_domains(store):
        finish_one(store, domain)


def finish_one(store: Store, domain: str) -> bool:
    """Whether somebody had begun to delete the domain, and died: now it is gone. Raises TransientError."""
    if domain not in retiring_domains(store):
        return False
    with claimed(store, domain) as renew:
        return drop_rest(store, domain, renew)


def drop_rest(store: Store, domain: str, renew: Callable[[], None]) -> bool:
    """What somebody who died has left of a domain that he retired: whether there was such. For who has claimed it. Raises TransientError."""
    with translated("looking whether a domain was retired"):
        retiring = store.client.sismember(keys.retiring(), domain) and not store.client.exists(keys.domain(domain))
    if retiring:
        _drop(store, domain, renew)
    return bool(retiring)


def _drop(store: Store, domain: str, renew: Callable[[], None]) -> None:
    """Everything but its numbers. Durable before it returns."""
    with step("drop_domain"), translated("dropping what is left of a domain"):
        store.client.srem(keys.domains(), domain)
        for node in store.nodes():
            pipe = node.pipeline(transaction=False)
            for key in _left(node, domain):
                pipe.unlink(key)
                if len(pipe) >= _AT_ONCE:
                    pipe.execute()
                    renew()
            pipe.execute()
    barrier(store, [keys.mark(domain)])
    with translated("dropping what is left of a domain"):
        store.client.srem(keys.retiring(), domain)


def partitions_before(store: Store, domain: str) -> int | None:
    """How many a retired domain of that name had, and so has its topic; None where there was none."""
    with translated("reading a domain"):
        found = store.client.get(keys.retired(domain))
    return None if found is None else int(found)


def _left(node: Any, domain: str) -> Iterator[bytes]:
    own = keys.domain(domain).removesuffix("domain").encode()
    kept = tuple(own + one.encode() for one in _KEPT)
    fence = re.compile(rf"\{{{domain}:\d+\}}:fence".encode())
    for pattern in (f"{{{domain}:*}}:*", f"{{{domain}}}:*"):
        for key in node.scan_iter(match=pattern, count=_AT_ONCE):
            if not key.startswith(kept) and not fence.fullmatch(key):
                yield key
