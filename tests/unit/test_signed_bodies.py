"""What goes to S3 is signed by its SHA-256, which the server checks: nothing that a network changes is stored (SigV4, `x-amz-content-sha256`)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from object_store.access import S3Access, connect

BODY = b"id;amount\r\nC1;5,00\r\n"
REQUESTS: dict[str, Callable[[Any], object]] = {
    "object": lambda client: client.put_object(Bucket="bucket", Key="key", Body=BODY),
    "part": lambda client: client.upload_part(Bucket="bucket", Key="key", UploadId="id", PartNumber=1, Body=bytearray(BODY)),
}


class _LookedAtError(Exception):
    pass


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("endpoint_url", [None, "https://s3.example.com", "http://127.0.0.1:9000"])
def test_the_signature_covers_the_body(endpoint_url: str | None, request_name: str) -> None:
    client: Any = connect(S3Access(endpoint_url, "us-east-1", "key", "secret"), 1)
    headers: dict[str, bytes] = {}

    def look(request: Any, **_: object) -> None:
        headers.update(request.headers)
        raise _LookedAtError

    client.meta.events.register("before-send.s3", look)
    with pytest.raises(_LookedAtError):
        REQUESTS[request_name](client)
    assert headers["X-Amz-Content-SHA256"] == hashlib.sha256(BODY).hexdigest().encode()
    assert b"x-amz-content-sha256" in headers["Authorization"]
