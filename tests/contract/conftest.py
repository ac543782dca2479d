"""An S3 server of its own process for the contract of the object store, and what stands before it when a test wants it to misbehave."""

from __future__ import annotations

import socket
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

import boto3
import pytest

from deployments.embedded.processes import free_port
from object_store.access import S3Access
from object_store.reader import Patience
from object_store.store import ObjectStore
from tests.polling import eventually
from tests.servers.cut_proxy import CutProxy
from tests.servers.s3_gateway import S3Gateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

IMPATIENT = Patience(attempts=4, first_wait_seconds=0, longest_wait_seconds=0)
START_SECONDS = 60


def store_at(url: str) -> ObjectStore:
    """Tries a request once, so that what a test arms meets the code under test and not botocore's own retries."""
    return ObjectStore(S3Access(url, "us-east-1", "tester", "a-secret-of-the-tests"), patience=IMPATIENT, request_attempts=1)


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """moto in its own process, on a free port of loopback."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: _listens(server, port), within=START_SECONDS, what="the S3 server listens")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="session")
def plain_client(s3_url: str) -> S3Client:
    """What the owner of the bucket does, past everything under test."""
    return boto3.session.Session().client(
        "s3", endpoint_url=s3_url, region_name="us-east-1", aws_access_key_id="owner", aws_secret_access_key="owner"
    )


@pytest.fixture
def bucket(plain_client: S3Client) -> str:
    """A new bucket without versions."""
    name = f"b-{uuid.uuid4().hex}"
    plain_client.create_bucket(Bucket=name)
    return name


@pytest.fixture
def versioned_bucket(plain_client: S3Client, bucket: str) -> str:
    """A new bucket that keeps versions."""
    plain_client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


@pytest.fixture
def store(s3_url: str) -> ObjectStore:
    """Straight to the server."""
    return store_at(s3_url)


@pytest.fixture
def gateway(s3_url: str) -> Iterator[S3Gateway]:
    with S3Gateway(s3_url) as running:
        yield running


@pytest.fixture
def proxy(gateway: S3Gateway) -> Iterator[CutProxy]:
    with CutProxy(gateway.host, gateway.port) as running:
        yield running


@pytest.fixture
def faulty_store(proxy: CutProxy) -> ObjectStore:
    """Through the cut proxy, then the gateway."""
    return store_at(f"http://{proxy.host}:{proxy.port}")


def _listens(server: subprocess.Popen[bytes], port: int) -> bool:
    if server.poll() is not None:
        pytest.fail(f"the S3 server ended with {server.returncode} while it started")
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0
