"""The pre-signed PUT: a file for an upload job, verified before a byte of it is read, streamed into S3 (SPEC U5, U10). Errors are S3's, as clients expect."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, TypeVar
from xml.sax.saxutils import escape

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from api import metrics
from api.call import Services
from api.receive_upload import ReceivedUpload, TooLargeError, UploadPlace, receiving
from api.upload_operations import URLS_PURPOSE
from headrace.errors import HeadraceError
from headrace.master_key import derived_key
from headrace.upload_urls import PATH, UploadRefusedError, key_of_upload
from profile_store import audit, upload_jobs

log = logging.getLogger("headrace.api")

OPERATION = "PutUpload"
KEYS_PURPOSE = "upload keys"
IDLE_SECONDS = 60.0
"""So long a client may send nothing."""
AT_ONCE = 8
"""Uploads of one process; each holds up to 30 MB."""
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

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)

    def _place(self) -> asyncio.Semaphore:
        """One of the places, at once or not at all."""
        if self._places.locked():
            raise _Refused(503, "SlowDown", "Too many files are uploaded at once; try again.")
        return self._places

    async def put(self, request: Request) -> Response:
        domain, job_id = request.path_params["domain"], request.path_params["job_id"]
        services: Services = request.app.state.services
        try:
            key = await run_in_threadpool(_key, services, request, domain, job_id)
            async with self._place():
                received = await _receive(services, request, (domain, job_id), key)
        except ClientDisconnect:
            return Response(status_code=400)
        except _Refused as refused:
            return _answer(refused)
        except TooLargeError as error:
            return _answer(_Refused(400, error.code, error.message))
        except HeadraceError as error:
            log.error("%s %s", OPERATION, error)  # noqa: TRY400 - the message says it all
            return _answer(_Refused(503, "ServiceUnavailable", "The file can't be stored now; try again."))
        await run_in_threadpool(
            audit.note, services.store, OPERATION, f"domain {domain}", "a pre-signed URL", job=job_id, bytes=received.size
        )
        metrics.CALLS.labels(OPERATION, "200").inc()
        return Response(status_code=200)


def _key(services: Services, request: Request, domain: str, job_id: str) -> bytes:
    """The key to encrypt with, of a request that may upload. Raises _Refused, HeadraceError."""
    signing = derived_key(services.settings.api.master_key, URLS_PURPOSE)
    try:
        key = key_of_upload(signing, (domain, job_id), request.query_params, request.headers, time.time())
    except UploadRefusedError as refused:
        raise _Refused(403, "SignatureDoesNotMatch", str(refused)) from None
    job = upload_jobs.find(services.store, domain, job_id)
    if job is None or job.status != "CREATED":
        raise _too_late()
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > services.settings.uploads.most_bytes:
        raise TooLargeError(services.settings.uploads.most_bytes)
    return key


async def _receive(services: Services, request: Request, about: tuple[str, str], key: bytes) -> ReceivedUpload:
    settings = services.settings
    place = UploadPlace(services.store, services.objects, settings.uploads, derived_key(settings.api.master_key, KEYS_PURPOSE))
    async with _in_threads(receiving(place, *about, key)) as received:
        gathered = bytearray()
        async for chunk in _chunks(request):
            gathered += chunk
            if len(gathered) >= GATHERED_BYTES:
                await run_in_threadpool(received.write, bytes(gathered))
                gathered.clear()
        await run_in_threadpool(received.write, bytes(gathered))
    if received.noted is None or not received.noted.done:
        raise _too_late()
    return received


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise _Refused(400, "RequestTimeout", f"Nothing came for {IDLE_SECONDS:g} s.") from None
        if chunk is None:
            return
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


def upload_routes() -> tuple[Route, ...]:
    """Of one application."""
    endpoint: Callable[[Request], Any] = _Uploads().put
    return (Route(PATH, endpoint, methods=["PUT"]),)
