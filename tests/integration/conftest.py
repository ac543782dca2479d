"""Prefect for the tests of this folder: the server of the whole run, as a client and as the one that code in this process talks to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE, temporary_settings

from deployments.embedded.broker import BrokerServer
from deployments.embedded.prefect import PrefectServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from tests.integration.prefect_api import PrefectApi
from tests.integration.prefect_stack import PrefectStack, running_stack
from tests.pipeline import Pipeline, access_to, pipeline

DRAIN_SECONDS = 20.0


def send_what_waits() -> None:
    """What Prefect sends in the background goes out while its server is still there; else our process would try, and wait, at its exit."""
    APILogWorker.drain_all(timeout=DRAIN_SECONDS, at_exit=False)
    EventsWorker.drain_all(timeout=DRAIN_SECONDS, at_exit=False)


@pytest.fixture(scope="session")
def prefect_api(prefect_server: PrefectServer) -> Iterator[PrefectApi]:
    yield PrefectApi(f"{prefect_server.ui_url}/api")
    send_what_waits()


@pytest.fixture
def in_prefect(prefect_server: PrefectServer, prefect_api: PrefectApi) -> Iterator[PrefectApi]:
    """While the test runs, Prefect code in this process talks to the server of this run, and to no other."""
    settings = {PREFECT_API_URL: prefect_api.url, PREFECT_HOME: prefect_server.home, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False}
    with temporary_settings(settings):
        yield prefect_api


@pytest.fixture
def flow_servers(valkey: ValkeyServer, tansu_server: BrokerServer, empty_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """An empty store, and an empty bucket `crm`, that flows in this process find by their settings."""
    made = pipeline(valkey.url, tansu_server.bootstrap_servers, access_to(empty_s3))
    made.set_environment(monkeypatch.setenv)
    made.make_bucket("crm")
    return made


@pytest.fixture
def flow_pipeline(flow_servers: Pipeline, in_prefect: PrefectApi) -> Pipeline:
    """The Prefect server is `in_prefect`'s."""
    return flow_servers


@pytest.fixture(scope="session")
def prefect_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectStack]:
    """A whole embedded stack for the tests that go through a real Prefect worker, with an empty bucket `crm`. It takes half a minute."""
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        stack.pipeline.make_bucket("crm")
        yield stack
