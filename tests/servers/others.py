"""S3 and Prefect for the suite. A pytest plugin."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

import pytest

from deployments.embedded.prefect import PrefectServer, start_prefect_server
from deployments.embedded.processes import free_port
from deployments.embedded.s3 import S3Server, start_s3, version
from tests.servers.prefect_database import put_migrated_database
from tests.servers.report import ServerReport


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory, server_report: ServerReport) -> Iterator[S3Server]:
    """Shared by the whole run: take `empty_s3` for one without buckets."""
    directory = tmp_path_factory.mktemp("s3")
    with start_s3(directory=directory, log_path=directory / "s3.log", port=free_port()) as server:
        server_report.note_ran("S3", f"moto {version()}")
        yield server


@pytest.fixture
def empty_s3(s3_server: S3Server) -> S3Server:
    """No buckets in it."""
    reset = urllib.request.Request(f"{s3_server.endpoint_url}/moto-api/reset", method="POST")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(reset, timeout=60):
        return s3_server


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory, server_report: ServerReport) -> Iterator[PrefectServer]:
    """Shared by the whole run; its `environment` is for the processes that talk to it. Takes 6 to 15 s to start."""
    from importlib.metadata import version as package_version

    directory = tmp_path_factory.mktemp("prefect")
    put_migrated_database(directory)
    with start_prefect_server(directory=directory, log_path=directory / "prefect-server.log", port=free_port()) as server:
        server_report.note_ran("Prefect server", f"Prefect {package_version('prefect')} (SQLite)")
        yield server
