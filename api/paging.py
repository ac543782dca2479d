"""Lists that are given page by page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from api.call import Call

USUAL_PAGE = 100

T = TypeVar("T")


def scope_of(call: Call, of: str = "") -> str:
    """What a page token is good for: this principal, operation and domain, and what else decides about the list (`of`)."""
    return f"{call.principal.name} {call.operation} {call.input.get('DomainName', '')} {of}"


def page_of(call: Call, items: Sequence[T], place_of: Callable[[T], str], of: str = "") -> tuple[Sequence[T], str | None]:
    """The items of this call's page, and the token of the next. `items`: in the order of their places, which are texts; `of`: what else decides about
    the list, like a filter. Items that come and go between two pages move no other item.
    """
    scope, token, start = scope_of(call, of), call.input.get("NextToken"), 0
    if token is not None:
        behind = call.services.tokens.read(scope, token)
        start = next((at for at, one in enumerate(items) if place_of(one) > behind), len(items))
    stop = start + call.input.get("MaxResults", USUAL_PAGE)
    page = items[start:stop]
    return page, call.services.tokens.sign(scope, place_of(page[-1])) if stop < len(items) else None
