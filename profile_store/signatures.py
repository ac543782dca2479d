"""Signatures of calls that have been carried out: none is carried out twice, so who has listened in can't have a call made again (SPEC U12).

A signature knows whole seconds only: two equal calls that a client makes in one second have the same one. They differ in what the SDK calls them, which it
does not sign, so that anybody can change it. It decides what is answered, never what is done.
"""

from __future__ import annotations

from enum import Enum, auto
from hashlib import blake2b
from typing import Any

from profile_store import keys
from profile_store.store import Store, text, translated

AGAIN_MS = 7_000
"""The second of two equal calls may wait five seconds for a place longer than the first."""


class Use(Enum):
    """Of a signature: the `FIRST` alone is carried out. `ANOTHER`: of a moment ago, by what may be a client's own second call. `REPLAY`: any other."""

    FIRST = auto()
    ANOTHER = auto()
    REPLAY = auto()


def use_of(store: Store, signature: str, attempt: str, seconds: int) -> Use:
    """Once `FIRST`, for all processes. `attempt`: what the client calls it, unsigned.

    It is remembered for `seconds`, as long as it would be accepted by its date.
    """
    called, key = blake2b(attempt.encode(), digest_size=16).hexdigest(), keys.signature(signature)
    with translated("remembering a signature"):
        if store.client.set(key, called, nx=True, ex=seconds):
            return Use.FIRST
        first, left = store.client.get(key), store.client.pttl(key)
    return Use.ANOTHER if _is_fresh(left, seconds) and text(first) != called else Use.REPLAY


def _is_fresh(left_ms: Any, seconds: int) -> bool:
    return int(left_ms) > 1_000 * seconds - AGAIN_MS
