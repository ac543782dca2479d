"""An API that starts while a domain is being deleted by somebody who may be dead (SPEC U14)."""

from __future__ import annotations

import threading

import pytest

from deployments.embedded.valkey import ValkeyServer
from headrace.cli import api
from profile_store import keys
from tests.contract.profile_stores import store_at
from tests.polling import eventually


@pytest.mark.spec("U14")
def test_what_is_left_of_a_domain_goes_when_the_claim_has_run_out(valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "RETIRE_SECONDS", 0.05)
    monkeypatch.setattr("profile_store.retirement._PATIENCE_SECONDS", 0.05)
    store = store_at(valkey.url)
    left = keys.meta("gone", 0)
    store.client.sadd(keys.retiring(), "gone")
    store.client.hset(left, "floor", 3)
    store.client.set(keys.claim("gone"), "somebody")
    finishing = threading.Thread(target=api._finish_retiring, args=(store,), daemon=True)
    finishing.start()
    finishing.join(0.5)
    assert finishing.is_alive()
    assert store.client.exists(left)
    store.client.delete(keys.claim("gone"))
    eventually(lambda: not finishing.is_alive(), within=10, what="it is seen through")
    assert not store.client.exists(left)
    assert not store.client.smembers(keys.retiring())
