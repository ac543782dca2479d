"""What an export keeps in the store until its end is known (SPEC R3)."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.errors import TransientError
from profile_store import durability, exports, keys
from profile_store.store import Store
from tests.contract.profile_stores import DOMAIN, PARTITIONS, store_at, with_domain
from tests.servers.valkey import RedisTarget

EXPORT = "0123456789abcdef"


@pytest.fixture
def store(redis_target: RedisTarget) -> Store:
    return with_domain(store_at(redis_target.url, cluster=redis_target.cluster))


def keep(store: Store) -> None:
    key = keys.exporting(DOMAIN, 1, EXPORT)
    store.node_of(key).set(key, b"\x80")


@pytest.mark.spec("R3")
def test_what_was_dropped_is_gone_from_disk_before_the_note_is_forgotten(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node of a cluster may come back with it, and another without the note: nobody would ever drop it again."""
    keep(store)
    barrier = durability.barrier

    def after_a_power_cut(*asked: Any) -> Any:
        keep(store)
        return barrier(*asked)

    with monkeypatch.context() as patched:
        patched.setattr(exports, "barrier", after_a_power_cut)
        with pytest.raises(TransientError, match="WRITE_LOST"):
            exports.drop_exported(store, DOMAIN, PARTITIONS, EXPORT)
    exports.drop_exported(store, DOMAIN, PARTITIONS, EXPORT)
    key = keys.exporting(DOMAIN, 1, EXPORT)
    assert not store.node_of(key).exists(key)
