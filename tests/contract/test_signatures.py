"""A signature is carried out once, whoever asks when; what is told to a second use is another thing (SPEC U12)."""

from __future__ import annotations

import uuid

import pytest

from profile_store import keys
from profile_store.signatures import Use, use_of
from tests.contract.profile_stores import store_at
from tests.servers.valkey import RedisTarget

SECONDS = 660


@pytest.mark.spec("U12")
@pytest.mark.parametrize(("ago", "use"), [(0, Use.ANOTHER), (6, Use.ANOTHER), (8, Use.REPLAY)])
def test_a_second_use_of_a_while_ago(redis_target: RedisTarget, ago: int, use: Use) -> None:
    """A client's own second call may have waited five seconds for a place; what comes later is no client's."""
    store, signature = store_at(redis_target.url, cluster=redis_target.cluster), uuid.uuid4().hex
    assert use_of(store, signature, "one", SECONDS) is Use.FIRST
    store.client.pexpire(keys.signature(signature), 1_000 * (SECONDS - ago))
    assert use_of(store, signature, "another", SECONDS) is use
    assert use_of(store, signature, "one", SECONDS) is Use.REPLAY
