"""Signatures of calls that have been carried out: who has listened in can't have them carried out again (SPEC U12).

An SDK signs anew whenever it repeats a call. But a signature knows whole seconds only: two equal calls that a client makes in one second have the same one.
They differ in what the SDK calls them, which it does not sign. So the same request is never let in twice, and the same signature only for a moment.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from profile_store import keys
from profile_store.store import Store, translated

AGAIN_MS = 2_000


def may_be_made(store: Store, signature: str, attempt: str, seconds: int) -> bool:
    """Whether the signature is new, or was so a moment ago and another attempt's. `attempt`: what the client calls it, unsigned.

    It is remembered for `seconds`, as long as it would be accepted by its date.
    """
    request = blake2b(f"{signature} {attempt}".encode(), digest_size=16).hexdigest()
    with translated("remembering a signature"):
        if not store.client.set(keys.signature(request), "1", nx=True, ex=seconds):
            return False
        if store.client.set(keys.signature(signature), "1", nx=True, ex=seconds):
            return True
        left: Any = store.client.pttl(keys.signature(signature))
    return int(left) > 1_000 * seconds - AGAIN_MS
