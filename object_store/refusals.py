"""What botocore raises, as Headrace's errors: transient or terminal by type, with what to do. No message carries a secret."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.parsers import ResponseParserError

from headrace.errors import HeadraceError, TerminalError, TransientError

if TYPE_CHECKING:
    from collections.abc import Iterator

PRECONDITION_FAILED = frozenset({"PreconditionFailed", "412"})
NOT_FOUND = frozenset({"NoSuchKey", "NoSuchVersion", "NotFound", "404"})
OUT_OF_RANGE = frozenset({"InvalidRange", "416"})
DENIED = frozenset({"AccessDenied", "AllAccessDisabled", "AccountProblem", "403"})
NOT_OFFERED = frozenset({"NotImplemented", "MethodNotAllowed", "XNotImplemented", "501", "405"})


class _Refusal(NamedTuple):
    code: str
    says: str
    hint: str


_CREDENTIALS = _Refusal(
    "WRONG_CREDENTIALS",
    "the server does not accept the access key or its signature",
    "Check access key id and secret of the connection's credentials.",
)
_EXPIRED = _Refusal(
    "WRONG_CREDENTIALS", "the session's credentials have expired or are not valid", "Renew the credentials of the connection."
)
_DENIED = _Refusal(
    "ACCESS_DENIED",
    "access denied",
    "Give the key s3:ListBucket on the bucket and s3:GetObject (with versions s3:GetObjectVersion too; to write, s3:PutObject) on its "
    "objects. Without s3:ListBucket a missing object is answered like this as well.",
)
_NO_OBJECT = _Refusal("NO_SUCH_OBJECT", "there is no such object", "Check bucket and key; it may have been deleted or moved.")
_REGION = _Refusal("WRONG_REGION", "the bucket is in another region", "Set the region of the connection to the bucket's.")
_NAME = _Refusal("INVALID_NAME", "the server does not accept the bucket's name or the key", "Check how they are spelled.")
_NOT_OFFERED = _Refusal("NOT_SUPPORTED", "the server does not offer this operation", "Use an S3 server that does.")

_REFUSALS: dict[str, _Refusal] = {
    "NoSuchBucket": _Refusal("NO_SUCH_BUCKET", "there is no such bucket", "Check the bucket's name, the endpoint and the region."),
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "UnrecognizedClientException": _CREDENTIALS,
    "AuthFailure": _CREDENTIALS,
    "ExpiredToken": _EXPIRED,
    "InvalidToken": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "RequestTimeTooSkewed": _Refusal("CLOCK_SKEW", "this machine's clock differs too much from the server's", "Set the clock (NTP)."),
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "301": _REGION,
    "InvalidBucketName": _NAME,
    "InvalidURI": _NAME,
    "KeyTooLongError": _NAME,
    "InvalidObjectState": _Refusal(
        "ARCHIVED", "the object is in an archive class", "Restore it first, or move it to a class that can be read."
    ),
    "EntityTooLarge": _Refusal("TOO_LARGE", "the server does not take an object of this size", "Write less, or choose another server."),
    **dict.fromkeys(DENIED, _DENIED),
    **dict.fromkeys(NOT_FOUND, _NO_OBJECT),
    **dict.fromkeys(NOT_OFFERED, _NOT_OFFERED),
}

_COME_BACK = frozenset(
    {"SlowDown", "Throttling", "ThrottlingException", "RequestTimeout", "RequestLimitExceeded", "OperationAborted", "BadDigest"}
)


_OUTAGES = (NoConnectionError, HTTPClientError, IncompleteReadError, MetadataRetrievalError, CredentialRetrievalError)


@contextmanager
def explained(doing: str, where: str) -> Iterator[None]:
    """Turns botocore's errors within the block into Headrace's. `doing`: "reading"; `where`: "s3://bucket/key" or the server."""
    try:
        yield
    except (ClientError, BotoCoreError, ResponseParserError) as error:
        raise explain(error, doing, where) from error


def not_s3(doing: str, where: str) -> TerminalError:
    """For an answer of 200 that lacks what every S3 server sends: a portal, a console, a web server."""
    message = f"{doing} {where}: what answers there is no S3 server."
    return TerminalError(message, code="ENDPOINT", hint="Check endpoint_url: S3 and its console often have different ports.")


def code_of(error: ClientError) -> str:
    """The server's error code; for an answer without a body (HEAD) the HTTP status as text."""
    return str(error.response.get("Error", {}).get("Code", ""))


def explain(error: ClientError | BotoCoreError | ResponseParserError, doing: str, where: str) -> HeadraceError:
    if isinstance(error, ClientError):
        return _answered(error, f"{doing} {where}")
    return _unanswered(error, f"{doing} {where}")


def _answered(error: ClientError, what: str) -> HeadraceError:
    code = code_of(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if refusal := _REFUSALS.get(code):
        return TerminalError(f"{what}: {refusal.says}.", code=refusal.code, hint=refusal.hint)
    said = str(error.response.get("Error", {}).get("Message", ""))[:200]
    if status >= 500 or status == 429 or code in _COME_BACK:
        return TransientError(f"{what}: the server can't now ({code} {said}).", hint="It is tried again.")
    return TerminalError(
        f"{what}: the server refused ({code} {said}).", code="S3_REFUSED", hint="Check what the server's documentation says of this code."
    )


def _unanswered(error: BotoCoreError | ResponseParserError, what: str) -> HeadraceError:
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        message = f"{what}: there are no complete S3 credentials."
        return TerminalError(message, code="CREDENTIALS_MISSING", hint="Name a credentials block in the connection, or set HEADRACE_S3_*.")
    if isinstance(error, ParamValidationError):
        return TerminalError(f"{what}: {_NAME.says}.", code=_NAME.code, hint=_NAME.hint)
    if isinstance(error, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        message = f"{what}: the server's TLS certificate can't be trusted."
        return TerminalError(message, code="TLS", hint="Install its CA and name it in AWS_CA_BUNDLE, or correct the endpoint.")
    if isinstance(error, ResponseParserError):
        return TransientError(
            f"{what}: the answer is no answer of an S3 server.", hint="Check that the endpoint is one; it is tried again."
        )
    if isinstance(error, _OUTAGES):
        return TransientError(f"{what}: no answer ({type(error).__name__}).", hint="Check the endpoint and the network; it is tried again.")
    return TerminalError(f"{what}: {type(error).__name__}: {error}", code="S3_REFUSED", hint="Check endpoint, region and credentials.")
