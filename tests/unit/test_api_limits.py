"""Page tokens that nobody can make, and buckets that fill again."""

from __future__ import annotations

import asyncio
import random
import string
from contextlib import AsyncExitStack

import pytest

from api.errors import ApiError
from api.limits import Places, TokenBuckets
from api.page_tokens import PageTokens

TOKENS = PageTokens(b"k" * 32)


def is_refused(scope: str, token: str, tokens: PageTokens = TOKENS) -> bool:
    try:
        tokens.read(scope, token)
    except ApiError as error:
        return error.code == "BadRequestException"
    return False


@pytest.mark.spec("S1")
def test_a_token_is_of_its_list_alone() -> None:
    token = TOKENS.sign("ListSegmentDefinitions retail ", "naïve/name")
    assert TOKENS.read("ListSegmentDefinitions retail ", token) == "naïve/name"
    assert is_refused("ListSegmentDefinitions other ", token)
    assert is_refused("ListUploadJobs retail ", token)
    assert is_refused("ListSegmentDefinitions retail ", token, PageTokens(b"x" * 32))
    # What is behind the scope can't be taken for a part of it.
    assert is_refused("ListSegmentDefinitions retail", TOKENS.sign("ListSegmentDefinitions retail ", "a"))


@pytest.mark.spec("S1")
def test_forged_tokens_are_refused() -> None:
    token, dice = TOKENS.sign("a", "place"), random.Random(7)
    letters = string.ascii_letters + string.digits + "-_="
    for at in range(len(token)):
        other = dice.choice([one for one in letters if one != token[at]])
        assert is_refused("a", token[:at] + other + token[at + 1 :]), at
        assert is_refused("a", token[:at])
    for text in ("", "=", "é", token + "=", token + "A", " " + token, "A" * 1024):
        assert is_refused("a", text)


@pytest.mark.spec("U15")
def test_polling_every_ten_seconds_is_never_throttled_and_a_burst_is() -> None:
    now = [0.0]
    buckets = TokenBuckets(rate=2, burst=5, clock=lambda: now[0])
    for _ in range(1_000):
        assert buckets.take("poller")
        now[0] += 10
    assert [buckets.take("hasty") for _ in range(6)] == [True] * 5 + [False]
    assert buckets.take("poller")
    now[0] += 0.5
    assert buckets.take("hasty")
    assert not buckets.take("hasty")


@pytest.mark.spec("U15")
def test_one_principal_leaves_places_for_others() -> None:
    async def calls() -> None:
        places = Places(6)
        async with AsyncExitStack() as waiting:
            for _ in range(3):
                await waiting.enter_async_context(places.taken("hasty", 1))
            with pytest.raises(TimeoutError):
                await waiting.enter_async_context(places.taken("hasty", 0.01))
            for _ in range(3):
                await waiting.enter_async_context(places.taken("poller", 1))
            with pytest.raises(TimeoutError):
                await waiting.enter_async_context(places.taken("a third", 0.01))
        for _ in range(3):
            await waiting.enter_async_context(places.taken("a third", 1))
        await waiting.aclose()

    asyncio.run(calls())
