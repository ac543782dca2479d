"""The way to an S3 server: address, credentials, timeouts. The only place that makes a boto3 client."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from headrace.errors import TerminalError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_SECONDS = 5
READ_SECONDS = 60
"""Of silence, not of a whole download."""
ATTEMPTS = 4
"""Of one request, the first included. A broken download is resumed by `object_store.reader`, on top of these."""


@dataclass(frozen=True)
class S3Access:
    """Where an S3 server is and who asks. `endpoint_url` None: Amazon's. Without a key, boto3's own chain (role, environment) is used."""

    endpoint_url: str | None = None
    region: str = "us-east-1"
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)

    @property
    def server(self) -> str:
        """For messages."""
        return self.endpoint_url or f"Amazon S3 ({self.region})"


def connect(access: S3Access, attempts: int = ATTEMPTS) -> S3Client:
    """A client; safe to share between threads. Sends nothing yet. TerminalError ENDPOINT, CREDENTIALS_MISSING for useless settings."""
    _check(access)
    config = Config(
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        # bucket.host needs a wildcard name in DNS, which only Amazon's endpoints are sure to have.
        s3={"addressing_style": "path" if access.endpoint_url else "auto"},
        # The CRC trailers that boto3 sends by default are unknown to many other servers. What a body says is signed anyway, by its SHA-256.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        user_agent_extra="headrace",
    )
    try:
        with _one_at_a_time:
            return _session().client(
                "s3",
                endpoint_url=access.endpoint_url,
                region_name=access.region,
                aws_access_key_id=access.access_key_id,
                aws_secret_access_key=access.secret_access_key,
                aws_session_token=access.session_token,
                config=config,
            )
    except (BotoCoreError, ValueError) as error:
        message = f"{access.server}, region {access.region!r}, can't be used as an S3 endpoint: {error}."
        raise TerminalError(message, code="ENDPOINT", hint="Check endpoint_url and region.") from None


_one_at_a_time = threading.Lock()
"""Clients are safe to use from several threads; making them from one session is not."""


@cache
def _session() -> boto3.session.Session:
    """It reads the description of S3 once: 60 to 90 ms of CPU, which a session for each client would take each time."""
    return boto3.session.Session()


def _check(access: S3Access) -> None:
    if access.endpoint_url is not None:
        url = urlsplit(access.endpoint_url)
        if url.username or url.password:
            message = f"the S3 endpoint at {url.hostname} has a user or password in its URL, which would show in logs."
            raise TerminalError(message, code="ENDPOINT", hint="Give the key by the connection's credentials instead.")
        if url.scheme not in ("http", "https") or not url.hostname:
            message = f"{access.endpoint_url!r} is no S3 endpoint."
            raise TerminalError(message, code="ENDPOINT", hint="Write https://host:port, or leave it out for Amazon S3.")
    if (access.access_key_id is None) != (access.secret_access_key is None):
        message = f"for {access.server} only one of access key id and secret access key is set."
        raise TerminalError(message, code="CREDENTIALS_MISSING", hint="Set both, or neither to use the machine's own role.")
