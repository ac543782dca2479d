"""The pre-signed URL of an upload: for one job, one key and 15 minutes (SPEC U5).

Nothing of it is kept: the URL says until when it holds and which key belongs to it (by a digest), and is signed. Who has the URL alone can't upload.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from headrace.sealing import is_signed, signature

VALID_SECONDS = 15 * 60
KEY_BYTES = 32
PATH = "/uploads/{domain}/{job_id}"
_EXPIRES, _KEY, _SIGNATURE = "X-Headrace-Expires", "X-Headrace-Key", "X-Headrace-Signature"
_ALGORITHM_HEADER = "x-amz-server-side-encryption-customer-algorithm"
_KEY_HEADER = "x-amz-server-side-encryption-customer-key"
_MD5_HEADER = "x-amz-server-side-encryption-customer-key-md5"
_REFUSED = "The request signature we calculated does not match the signature you provided."


@dataclass(frozen=True, slots=True)
class UploadPath:
    """What GetUploadJobPath gives. `client_token`: the key in base64; `valid_until`: epoch seconds."""

    url: str = field(repr=False)
    client_token: str = field(repr=False)
    valid_until: int


class UploadRefusedError(Exception):
    """A PUT that is answered 403. Nothing was read of it."""


def upload_path(signing_key: bytes, base_url: str, domain: str, job_id: str, now: float) -> UploadPath:
    """With a fresh 256-bit key each time."""
    key, expires = secrets.token_bytes(KEY_BYTES), int(now) + VALID_SECONDS
    digest = _digest(key)
    signed = {_EXPIRES: str(expires), _KEY: digest, _SIGNATURE: signature(signing_key, "PUT", domain, job_id, str(expires), digest)}
    path = PATH.format(domain=quote(domain, safe=""), job_id=job_id)
    return UploadPath(f"{base_url}{path}?{urlencode(signed)}", b64encode(key).decode(), expires)


def key_of_upload(signing_key: bytes, about: tuple[str, str], query: Mapping[str, str], headers: Mapping[str, str], now: float) -> bytes:
    """The key that a PUT encrypts with. `about`: domain and job of its path; `query`, `headers`: its parameters; headers by lower-case names.

    Raises UploadRefusedError: signature, time, or one of the three headers of SSE-C is missing or wrong.
    """
    expires, digest, given = (query.get(name, "") for name in (_EXPIRES, _KEY, _SIGNATURE))
    if not is_signed(given, signing_key, "PUT", *about, expires, digest):
        raise UploadRefusedError(_REFUSED)
    if int(expires) < now:
        raise UploadRefusedError("Request has expired: ask for another path, which is valid for 15 minutes.")
    if headers.get(_ALGORITHM_HEADER) != "AES256":
        raise UploadRefusedError(f"{_REFUSED} The header {_ALGORITHM_HEADER} must be AES256.")
    key, md5 = _decoded(headers.get(_KEY_HEADER, "")), _decoded(headers.get(_MD5_HEADER, ""))
    if len(key) != KEY_BYTES or not hmac.compare_digest(_digest(key), digest):
        raise UploadRefusedError(f"{_REFUSED} The header {_KEY_HEADER} must be the ClientToken that came with this URL.")
    if not hmac.compare_digest(hashlib.md5(key, usedforsecurity=False).digest(), md5):
        raise UploadRefusedError(f"{_REFUSED} The header {_MD5_HEADER} must be the MD5 of the decoded ClientToken, in base64.")
    return key


def _digest(key: bytes) -> str:
    return hashlib.sha256(b"headrace upload key" + key).hexdigest()


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (Error, ValueError):
        return b""
