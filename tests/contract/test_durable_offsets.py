"""Two who ask at once what is on disk: the loop that gives partitions back, and the thread that waits for the disk all the time."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from profile_store.partitions import commit, read_durable_tokens
from streaming.worker import durable_offsets
from streaming.worker.durable_offsets import DurableOffsets
from tests.contract.profile_stores import DOMAIN, new_profiles, owned, store_at, with_partitions
from tests.servers.valkey import RedisTarget


@pytest.mark.spec("B1")
def test_an_answer_that_comes_late_does_not_take_back_what_a_later_one_said(
    redis_target: RedisTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = with_partitions(store_at(redis_target.url, cluster=redis_target.cluster))
    asked, go_on = threading.Event(), threading.Event()

    def slow_in_the_thread(*arguments: Any) -> dict[int, str]:
        found = read_durable_tokens(*arguments)
        if threading.current_thread() is not threading.main_thread() and not asked.is_set():
            asked.set()
            go_on.wait(1)
        return found

    monkeypatch.setattr(durable_offsets, "read_durable_tokens", slow_in_the_thread)
    offsets = DurableOffsets(store, DOMAIN)
    try:
        state = owned(store)
        offsets.taken_over(state)
        for batch_no in range(2):
            _, state = commit(store, state, new_profiles(batch_no, range(batch_no, batch_no + 1)))
            offsets.committed(state)
            offsets.add(0, batch_no + 1)
            assert asked.wait(60)
        offsets.settle()
        go_on.set()
        offsets.stop()
        assert (offsets.take(), offsets.take_lost()) == ({0: 2}, set())
    finally:
        offsets.stop()
