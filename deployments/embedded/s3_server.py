"""The S3 of one machine: moto's S3, served with threads. Run as a program: `python -m deployments.embedded.s3_server HOST PORT`.

What differs from `moto_server`: a copy honours `x-amz-copy-source-if-match` (moto 5.2 ignores it, and would pin a replaced object without a word); an
upload in parts gets no checksum that nobody asked for (moto computes one, and then shows it to nobody), and is put together by one copy, not by four: the
last request of 100 MB took up to half a second; and requests are not logged one by one (a demo makes tens of thousands); errors of the server are.
"""

from __future__ import annotations

import hashlib
import sys
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from typing import Any

from werkzeug.serving import run_simple

StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

PRECONDITION_FAILED = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>PreconditionFailed</Code>'
    b"<Message>At least one of the pre-conditions you specified did not hold</Message>"
    b"<Condition>x-amz-copy-source-If-Match</Condition></Error>"
)


def source_etag(application: Application, environ: dict[str, Any]) -> str | None:
    """The ETag of the object that a copy names as its source; None when it has none (the copy itself then says why)."""
    path, _, query = environ["HTTP_X_AMZ_COPY_SOURCE"].partition("?")
    question = {name: value for name, value in environ.items() if not name.startswith(("HTTP_X_AMZ_", "HTTP_IF_"))}
    question |= {
        "REQUEST_METHOD": "HEAD",
        "PATH_INFO": "/" + urllib.parse.unquote(path).lstrip("/"),
        "RAW_URI": "/" + path.lstrip("/"),
        "REQUEST_URI": "/" + path.lstrip("/"),
        "QUERY_STRING": query,
        "CONTENT_LENGTH": "0",
        "wsgi.input": BytesIO(),
    }
    found: dict[str, str] = {}

    def keep_headers(_status: str, headers: list[tuple[str, str]], _error: object = None) -> Callable[[bytes], None]:
        found.update({name.lower(): value for name, value in headers})
        return lambda _body: None

    for _ in application(question, keep_headers):
        pass
    return found.get("etag")


def honour_copy_source_if_match(application: Application) -> Application:
    """Answer 412 to a copy whose source is no longer the version asked for.

    Source: CopyObject and UploadPartCopy in the S3 API reference. Between this look and the copy another request may replace the source,
    as it can not on S3: whoever pins compares the ETag of the copy too.
    """

    def checked(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        wanted = environ.get("HTTP_X_AMZ_COPY_SOURCE_IF_MATCH")
        if wanted and environ.get("HTTP_X_AMZ_COPY_SOURCE"):
            etag = source_etag(application, environ)
            if etag is not None and etag.strip('"') != wanted.strip('"'):
                start_response(
                    "412 Precondition Failed",
                    [("Content-Type", "application/xml"), ("Content-Length", str(len(PRECONDITION_FAILED))), ("Connection", "close")],
                )
                return [PRECONDITION_FAILED]
        return application(environ, start_response)

    return checked


def complete_upload_by_one_copy() -> None:
    """Unless a checksum was asked for. CompleteMultipartUpload in the S3 API reference."""
    from moto.s3 import models
    from moto.s3.exceptions import EntityTooSmall, InvalidPart, MalformedXML
    from moto.settings import S3_UPLOAD_PART_MIN_SIZE

    by_moto = models.FakeMultipart.complete

    def complete(upload: models.FakeMultipart, body: Iterator[tuple[int, str]]) -> tuple[bytes, str, tuple[str, str, int] | None]:
        if "x-amz-checksum-algorithm" in upload.metadata:
            return by_moto(upload, body)
        named = [(upload.parts.get(number), etag.strip('"')) for number, etag in body]
        parts = [part for part, etag in named if part is not None and part.etag.strip('"') == etag]
        if not named:
            raise MalformedXML
        if len(parts) < len(named):
            raise InvalidPart
        if any(part.contentsize < S3_UPLOAD_PART_MIN_SIZE for part in parts[:-1]):
            raise EntityTooSmall
        digests = bytes.fromhex("".join(part.etag.strip('"') for part in parts))
        etag = hashlib.md5(digests, usedforsecurity=False).hexdigest()
        return b"".join(part.value for part in parts), f"{etag}-{len(parts)}", None

    models.FakeMultipart.complete = complete  # type: ignore[assignment, method-assign]


def main() -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app

    class QuietHandler(MotoRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            if str(code).startswith("5"):
                super().log_request(code, size)

    complete_upload_by_one_copy()
    host, port = sys.argv[1], int(sys.argv[2])
    application = honour_copy_source_if_match(DomainDispatcherApplication(create_backend_app))
    run_simple(host, port, application, threaded=True, request_handler=QuietHandler)


if __name__ == "__main__":
    main()
