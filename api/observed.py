"""/health, /ready and /metrics: for whoever watches the API. Unsigned, and nothing of a profile or a principal in them."""

from __future__ import annotations

import asyncio

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.call import Services
from api.job_metrics import look_at_jobs
from api.metrics import REGISTRY
from headrace.errors import HeadraceError
from profile_store.store import Store, translated

LOOK_SECONDS = 2.0
"""That a page waits for Redis."""


async def health(_request: Request) -> Response:
    """Whether the process goes round."""
    return JSONResponse({"status": "ok"})


async def ready(request: Request) -> Response:
    """Whether it can answer calls: 503 where Redis does not answer."""
    services: Services = request.app.state.services
    try:
        await run_in_threadpool(_ask, services.store)
    except HeadraceError as error:
        return JSONResponse({"status": error.code}, 503)
    return JSONResponse({"status": "ok"})


def _ask(store: Store) -> None:
    with translated("looking whether it is there"):
        for node in store.nodes():
            node.ping()


async def metrics_page(request: Request) -> Response:
    """Whatever becomes of Redis there is a page: without what only Redis knows, where it does not say so in time."""
    state = request.app.state
    if getattr(state, "looking", None) is None or state.looking.done():
        state.looking = asyncio.ensure_future(run_in_threadpool(look_at_jobs, state.services.store))
    await asyncio.wait({state.looking}, timeout=LOOK_SECONDS)
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)
