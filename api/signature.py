"""AWS Signature Version 4, verified before anything of a request is interpreted (SPEC U12).

What the signature should have been is computed by botocore's own signer, over the request as it came: raw path and query, and exactly the headers that
the client says it signed. Whatever AWS' rules leave room for is refused beforehand, so that nothing unsigned can change what a request means.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials
from botocore.utils import normalize_url_path

from api.errors import ApiError
from api.model import SIGNING_NAME

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>\w{16,128})/(?P<day>\d{8})/(?P<region>[a-z0-9-]{1,64})/(?P<service>[a-z0-9-]{1,64})/aws4_request,"
    r" ?SignedHeaders=(?P<headers>[a-z0-9;_.-]{1,4096}), ?Signature=(?P<signature>[0-9a-f]{64})",
    re.ASCII,
)
_MOMENT = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_PATH = re.compile(r"/[A-Za-z0-9\-._~%!$&'()*+,;=:@/]*", re.ASCII)
_QUERY = re.compile(r"[A-Za-z0-9\-._~%!$&'()*+,;=:@/?]*", re.ASCII)
_ONCE = frozenset({"authorization", "content-encoding", "content-length", "content-type", "date", "host", "transfer-encoding"})
_NO_SECRET = "0" * 40
"""Of nobody: a key that is withdrawn while the body comes takes as long as a known one."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """As it came. `path` and `query` are still percent-encoded; `headers`: names in lower case, one pair for each line; `body_hash`: SHA-256, in hex."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body_hash: str


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed, once that is proven. `signature`: 64 hex characters, the request's own."""

    access_key_id: str
    signature: str


def unsigned() -> ApiError:
    return ApiError("MissingAuthenticationTokenException", 403, "The request is not signed (AWS Signature Version 4, service profile).")


def _refused(message: str) -> ApiError:
    return ApiError("InvalidSignatureException", 403, message)


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a request says of its signature. `moment`: as in x-amz-date; `names`: of the headers that are signed."""

    key: str
    region: str
    signature: str
    moment: str
    names: list[str]


def refuse_unread(
    request: SignedRequest, secret_of: Callable[[str], str | None], now: datetime, window_seconds: int, region: str = ""
) -> None:
    """What `verify` refuses whatever the body is, so that it need not be read; `request.body_hash` is not looked at.

    Raises ApiError, status 403, as `verify` does.
    """
    claim = _claim(request, now, window_seconds, region)
    if secret_of(claim.key) is None:
        raise _unknown_key()


def verify(request: SignedRequest, secret_of: Callable[[str], str | None], now: datetime, window_seconds: int, region: str = "") -> Signer:
    """`secret_of(access key id)`: None for one that is not known; `region`: that must be named, '' for any.

    Raises ApiError, status 403, with AWS' names.
    """
    claim = _claim(request, now, window_seconds, region)
    if any(name == "x-amz-content-sha256" and value != request.body_hash for name, value in request.headers):
        raise _refused("The body is not what x-amz-content-sha256 says.")
    secret = secret_of(claim.key)
    expected = _expected(request, claim.names, claim.moment, claim.region, Credentials(claim.key, secret or _NO_SECRET))
    fits = hmac.compare_digest(expected, claim.signature)
    if secret is None:
        raise _unknown_key()
    if not fits:
        raise _refused(
            "The request signature we calculated does not match the signature you provided. Check your secret key and signing method."
        )
    return Signer(claim.key, claim.signature)


def _claim(request: SignedRequest, now: datetime, window_seconds: int, region: str) -> _Claim:
    """Of a request whose headers are in order, without its body. Raises ApiError, status 403."""
    headers: dict[str, list[str]] = {}
    for name, value in request.headers:
        headers.setdefault(name, []).append(value)
    _refuse_ambiguous(request, headers)
    if "authorization" not in headers:
        raise unsigned()
    found = _AUTHORIZATION.fullmatch(headers["authorization"][0])
    if found is None:
        raise ApiError("IncompleteSignatureException", 403, "The Authorization header is no signature of AWS4-HMAC-SHA256.")
    moment = _moment(headers, found["day"], now, window_seconds)
    if found["service"] != SIGNING_NAME:
        raise _refused(f"The credential must be scoped to the service {SIGNING_NAME}.")
    if region and found["region"] != region:
        raise _refused(f"The credential must be scoped to the region {region}.")
    names = _signed_names(found["headers"], headers)
    if "x-amz-security-token" in headers:
        raise _unknown_key()
    return _Claim(found["key"], found["region"], found["signature"], moment, names)


def _unknown_key() -> ApiError:
    return ApiError("UnrecognizedClientException", 403, "The security token included in the request is invalid.")


def _refuse_ambiguous(request: SignedRequest, headers: dict[str, list[str]]) -> None:
    """What could be read in two ways: by the signer, and by us."""
    repeated = [name for name, values in headers.items() if len(values) > 1 and (name in _ONCE or name.startswith("x-amz-"))]
    if repeated:
        raise _refused(f"The header {repeated[0]} is there twice.")
    if not _PATH.fullmatch(request.path) or normalize_url_path(request.path) != request.path:
        raise _refused("The path is not in its canonical form.")
    if not _QUERY.fullmatch(request.query):
        raise _refused("The query is not in its canonical form.")
    if headers.keys() & {"x-http-method-override", "x-method-override"}:
        raise _refused("A request's method can't be overridden.")


def _moment(headers: dict[str, list[str]], day: str, now: datetime, window_seconds: int) -> str:
    said = headers.get("x-amz-date", [""])[0]
    try:
        moment = datetime.strptime(said, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) if _MOMENT.fullmatch(said) else None
    except ValueError:
        moment = None
    if moment is None or said[:8] != day:
        raise _refused("The header x-amz-date is missing, is no date, or is of another day than the credential.")
    behind = (now - moment).total_seconds()
    if behind > window_seconds:
        raise _refused(f"Signature expired: {said} is earlier than {now:%Y%m%dT%H%M%SZ} by more than {window_seconds} s.")
    if behind < -window_seconds:
        raise _refused(f"Signature not yet current: {said} is later than {now:%Y%m%dT%H%M%SZ} by more than {window_seconds} s.")
    return said


def _signed_names(text: str, headers: dict[str, list[str]]) -> list[str]:
    names = text.split(";")
    if names != sorted(set(names)):
        raise _refused("The signed headers must be in order, each once.")
    missing = [name for name in names if name not in headers]
    if missing:
        raise _refused("A header that is said to be signed is not there.")
    left = [name for name in headers if name.startswith("x-amz-") and name not in names]
    if left or "host" not in names or "x-amz-date" not in names:
        raise _refused("'Host', 'X-Amz-Date' and every other 'X-Amz-…' header must be signed.")
    if any(not value.isascii() for name in names for value in headers[name]):
        raise _refused("A signed header is not ASCII.")
    return names


class _Expected(SigV4Auth):
    """botocore's signer chooses the headers that it signs itself: here the client chose."""

    def __init__(self, credentials: Credentials, region: str, names: list[str], body_hash: str) -> None:
        super().__init__(credentials, SIGNING_NAME, region)
        self._names = names
        self._body_hash = body_hash

    def headers_to_sign(self, request: Any) -> Any:
        found = HTTPHeaders()
        for name in self._names:
            for value in request.headers.get_all(name):
                found[name] = value
        return found

    def payload(self, _request: Any) -> str:
        return self._body_hash


def _expected(request: SignedRequest, names: list[str], moment: str, region: str, credentials: Credentials) -> str:
    headers = HTTPHeaders()
    for name, value in request.headers:
        headers[name] = value
    query = f"?{request.query}" if request.query else ""
    again = AWSRequest(request.method, f"https://host{request.path}{query}")
    again.headers = headers
    again.context["timestamp"] = moment
    signer = _Expected(credentials, region, names, request.body_hash)
    canonical = signer.canonical_request(again)
    return str(signer.signature(signer.string_to_sign(again, canonical), again))
