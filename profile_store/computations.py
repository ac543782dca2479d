"""What somebody asked the API to compute, and has to come back for: estimates and snapshots of segments (SPEC S6).

Whoever computes it says so again and again; when that stops, nobody does, and it is not going to be finished.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from profile_store import keys
from profile_store.store import Store, text, translated

ALIVE_SECONDS = 30


def put_computation(store: Store, domain: str, identity: str, document: dict[str, Any], seconds: int) -> None:
    """`identity`: 32 hex characters; `seconds`: how long it can be asked for."""
    with translated("noting a computation"):
        store.client.set(keys.computation(domain, identity), json.dumps(document, sort_keys=True), ex=seconds)


def read_computation(store: Store, domain: str, identity: str) -> dict[str, Any] | None:
    with translated("reading a computation"):
        found = store.client.get(keys.computation(domain, identity))
    return None if found is None else dict(json.loads(text(found)))


def end_computation(
    store: Store, domain: str, identity: str, document: dict[str, Any], seconds: int, whose: Literal["own", "dead"]
) -> dict[str, Any] | None:
    """The first end counts: gives the one that is on record now, None where it is too old. `whose`: of who computes it; or `dead`, where nobody does."""
    names = [keys.computation(domain, identity), keys.computing(domain, identity)]
    reply = store.run_script("end_computation", names, [json.dumps(document, sort_keys=True), seconds, whose])
    found = text(reply[0])
    return dict(json.loads(found)) if found else None


def say_alive(store: Store, domain: str, identity: str) -> None:
    with translated("noting that a computation goes on"):
        store.client.set(keys.computing(domain, identity), "1", ex=ALIVE_SECONDS)


def is_alive(store: Store, domain: str, identity: str) -> bool:
    with translated("looking whether a computation goes on"):
        return bool(store.client.exists(keys.computing(domain, identity)))
