"""What the handler of an operation gets, and what it works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from api.computations import Computations
from api.engine import Engine
from api.launcher import Launcher
from api.page_tokens import PageTokens
from api.principals import Principal
from headrace.settings import Settings
from object_store.store import ObjectStore
from profile_store.store import Store


@dataclass(frozen=True, slots=True)
class Services:
    """Of one process; safe to use from several threads. `objects`: the S3 of HEADRACE_S3_*."""

    store: Store
    settings: Settings
    engine: Engine
    launcher: Launcher
    tokens: PageTokens
    objects: ObjectStore
    computations: Computations


@dataclass(frozen=True, slots=True)
class Call:
    """A call that may be carried out: signed, allowed, and its input as the model wants it.

    `input`: by the model's names, without what was left out; integers and datetimes are such. `base_url`: of this API, as the client reaches it.
    """

    operation: str
    input: dict[str, Any]
    principal: Principal
    services: Services
    request_id: str
    base_url: str


Handler = Callable[[Call], dict[str, Any]]
"""Gives the output by the model's names, None for what is left out. Runs in a thread of its own. Raises ApiError, HeadraceError."""
