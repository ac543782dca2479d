"""Requests as boto3 signs them, caught before they are sent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

from api.signature import SignedRequest

KEY_ID = "HRTESTKEY0000000001"
SECRET = "a-secret-of-the-tests-0123456789"
ENDPOINT = "http://127.0.0.1:8443"


@dataclass
class _Catcher:
    """`caught`: the last request."""

    caught: AWSPreparedRequest | None = None

    def catch(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        self.caught = request
        return _Empty(request.url)


class _Empty(AWSResponse):
    def __init__(self, url: str) -> None:
        super().__init__(url, 200, HTTPHeaders(), None)

    @property
    def content(self) -> bytes:
        return b"{}"


@cache
def _client(key_id: str, secret: str) -> tuple[Any, _Catcher]:
    client = boto3.session.Session().client(
        "customer-profiles",
        endpoint_url=ENDPOINT,
        region_name="us-east-1",
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
    )
    catcher = _Catcher()
    client.meta.events.register("before-send.customer-profiles.*", catcher.catch)
    return client, catcher


def signed(operation: str, key_id: str = KEY_ID, secret: str = SECRET, **members: Any) -> tuple[SignedRequest, bytes]:
    """What the API receives of a call, and the body. `operation`: as boto3 spells it, `list_domains`."""
    client, catcher = _client(key_id, secret)
    getattr(client, operation)(**members)
    request = catcher.caught
    assert request is not None
    url = urlsplit(request.url)
    sent: Any = request.body or b""
    body = sent.encode() if isinstance(sent, str) else bytes(sent)
    headers = [(name.lower(), value.decode() if isinstance(value, bytes) else str(value)) for name, value in request.headers.items()]
    headers.append(("host", url.netloc))
    return SignedRequest(request.method, url.path, url.query, tuple(headers), sha256(body).hexdigest()), body
