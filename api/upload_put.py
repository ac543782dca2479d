"""The pre-signed PUT: a file for an upload job, verified before a byte of it is read, streamed into S3 (SPEC U5, U10). Errors are S3's, as clients expect."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any, TypeVar
from xml.sax.saxutils import escape

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from api import metrics
from api.call import Services
from api.receive_upload import TooLargeError, UploadPlace, receiving
from api.trail import Trail
from api.upload_operations import URLS_PURPOSE
from headrace.errors import HeadraceError
from headrace.master_key import derived_key
from headrace.upload_urls import PATH, UploadRefusedError, key_of_upload
from profile_store import upload_jobs

log = logging.getLogger("headrace.api")

OPERATION = "PutUpload"
WHO = "a pre-signed URL"
KEYS_PURPOSE = "upload keys"
PATIENCE_SECONDS = 60.0
"""So far a client may be behind the least rate; so long it may send nothing."""
OF_ONE_JOB = 2
"""Uploads at once: whoever has one path can't take all places."""
GATHERED_BYTES = 1 << 20
T = TypeVar("T")


class _Refused(Exception):  # noqa: N818 - an answer
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class _Uploads:
    """The endpoint of one process."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self._running: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def _place(self, about: tuple[str, str], most: int) -> Iterator[None]:
        """One of the places, at once or not at all. For one event loop."""
        if self._running.total() >= most or self._running[about] >= OF_ONE_JOB:
            raise _Refused(503, "SlowDown", "Too many files are uploaded at once; try again.")
        self._running[about] += 1
        try:
            yield
        finally:
            self._running[about] -= 1
            self._running += Counter()  # without those of whom nothing runs

    async def put(self, request: Request) -> Response:
        domain, job_id = request.path_params["domain"], request.path_params["job_id"]
        services: Services = request.app.state.services
        try:
            key = _key(services, request, domain, job_id)
        except UploadRefusedError as refused:  # by anybody: not in the trail
            return _answer(_Refused(403, "SignatureDoesNotMatch", str(refused)))
        try:
            await self._put(services, request, (domain, job_id), key)
        except ClientDisconnect:
            return Response(status_code=400)
        except _Refused as refused:
            self._trail.refused(WHO, OPERATION, f"domain {domain}", refused.code, job=job_id)
            return _answer(refused)
        except HeadraceError as error:
            log.error("%s %s", OPERATION, error)  # noqa: TRY400 - the message says it all
            return _answer(_Refused(503, "ServiceUnavailable", "The file can't be stored now; try again."))
        metrics.CALLS.labels(OPERATION, "200").inc()
        return Response(status_code=200)

    async def _put(self, services: Services, request: Request, about: tuple[str, str], key: bytes) -> None:
        """Raises _Refused, ClientDisconnect, HeadraceError."""
        domain, job_id = about
        try:
            await run_in_threadpool(_refuse, services, request, domain, job_id)
            with self._place(about, services.settings.api.max_uploads):
                await run_in_threadpool(self._trail.change, WHO, OPERATION, f"domain {domain}", job=job_id, **_length(request))
                if not (await run_in_threadpool(upload_jobs.expect_upload, services.store, domain, job_id)).done:
                    raise _too_late()
                await _receive(services, request, about, key)
        except TooLargeError as error:
            raise _Refused(400, error.code, error.message) from None


def _key(services: Services, request: Request, domain: str, job_id: str) -> bytes:
    """The key to encrypt with, of a request that is signed. Raises UploadRefusedError."""
    signing = derived_key(services.settings.api.master_key, URLS_PURPOSE)
    return key_of_upload(signing, (domain, job_id), request.query_params, request.headers, time.time())


def _length(request: Request) -> dict[str, int]:
    """Of the file, as it is announced."""
    said = request.headers.get("content-length", "")
    return {"bytes": int(said)} if said.isdecimal() else {}


def _refuse(services: Services, request: Request, domain: str, job_id: str) -> None:
    """A signed request that nothing can be uploaded by any more. Raises _Refused, TooLargeError, HeadraceError."""
    job = upload_jobs.find(services.store, domain, job_id)
    if job is None or job.status != "CREATED":
        raise _too_late()
    if _length(request).get("bytes", 0) > services.settings.uploads.most_bytes:
        raise TooLargeError(services.settings.uploads.most_bytes)


async def _receive(services: Services, request: Request, about: tuple[str, str], key: bytes) -> None:
    settings = services.settings
    place = UploadPlace(services.store, services.objects, settings.uploads, derived_key(settings.api.master_key, KEYS_PURPOSE))
    async with _in_threads(receiving(place, *about, key)) as received:
        gathered = bytearray()
        async for chunk in _chunks(request, settings.api.upload_bytes_per_second):
            gathered += chunk
            if len(gathered) >= GATHERED_BYTES:
                await run_in_threadpool(received.write, bytes(gathered))
                gathered.clear()
        await run_in_threadpool(received.write, bytes(gathered))
    if received.noted is None or not received.noted.done:
        raise _too_late()


async def _chunks(request: Request, least_rate: int) -> AsyncIterator[bytes]:
    """Of a client that sends `least_rate` bytes a second in the long run. Time counts while it is waited for, not while what it sent is worked on."""
    stream, patience = request.stream(), PATIENCE_SECONDS
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(patience):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise _Refused(400, "RequestTimeout", f"The file came slower than {least_rate:,} bytes a second.") from None
        if chunk is None:
            return
        patience = min(PATIENCE_SECONDS, patience - (time.monotonic() - began) + len(chunk) / least_rate)
        yield chunk


@asynccontextmanager
async def _in_threads(manager: AbstractContextManager[T]) -> AsyncIterator[T]:
    """A manager that blocks, entered and left in threads; left for good even where the request is cancelled."""
    entered = await run_in_threadpool(manager.__enter__)
    try:
        yield entered
    except BaseException as error:
        await asyncio.shield(asyncio.ensure_future(run_in_threadpool(_leave, manager, error)))
        raise
    await run_in_threadpool(manager.__exit__, None, None, None)


def _leave(manager: AbstractContextManager[Any], error: BaseException) -> None:
    manager.__exit__(type(error), error, error.__traceback__)


def _too_late() -> _Refused:
    return _Refused(403, "AccessDenied", "The job takes no file any more: it was started, stopped or deleted.")


def _answer(refused: _Refused) -> Response:
    metrics.CALLS.labels(OPERATION, str(refused.status)).inc()
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{refused.code}</Code><Message>{escape(refused.message)}</Message></Error>'
    return Response(body, refused.status, media_type="application/xml")


def upload_routes(trail: Trail) -> tuple[Route, ...]:
    """Of one application."""
    endpoint: Callable[[Request], Any] = _Uploads(trail).put
    return (Route(PATH, endpoint, methods=["PUT"]),)
