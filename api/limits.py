"""How fast a principal may call, and how many of its calls are worked on at a time, in this process (SPEC U15)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class TokenBuckets:
    """`rate`: calls a second in the long run; `burst`: at once."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def take(self, name: str) -> bool:
        """Whether one more call is allowed now. There are as many buckets as principals."""
        with self._lock:
            now = self._clock()
            bucket = self._buckets.setdefault(name, _Bucket(self._burst, now))
            bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._rate)
            bucket.at = now
            if bucket.tokens < 1:
                return False
            bucket.tokens -= 1
            return True


class Places:
    """For `count` calls that are worked on at a time. One principal has a half of them at most: while its calls wait for something, others find a place."""

    def __init__(self, count: int) -> None:
        self._all = asyncio.Semaphore(count)
        self._own: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(max(1, count // 2)))

    @asynccontextmanager
    async def taken(self, principal: str, within: float) -> AsyncIterator[None]:
        """A place for a call of `principal`; waits for one up to `within` seconds, then raises TimeoutError. For one event loop."""
        own = self._own[principal]
        async with asyncio.timeout(within):
            await own.acquire()
            try:
                await self._all.acquire()
            except BaseException:
                own.release()
                raise
        try:
            yield
        finally:
            self._all.release()
            own.release()
