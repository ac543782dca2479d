"""The embedded stack with a connection applied, for tests that go through a real Prefect worker. Merge workers are started by the test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from api.launcher import PrefectLauncher
from deployments.bootstrap import bootstrap, deploy_connection
from deployments.embedded.prefect import start_prefect_worker
from deployments.embedded.processes import ChildProcess
from deployments.embedded.stack import EmbeddedStack, StackOptions, bootstrap_in_a_process
from deployments.zombies import SILENCE
from headrace.connections import Connection
from tests.integration.prefect_api import ANSWER_SECONDS, PrefectApi
from tests.pipeline import Pipeline, access_to, pipeline
from tests.servers.prefect_database import put_migrated_database


@dataclass
class PrefectStack:
    """A running stack, seen from each side. `prefect_worker`: the present one."""

    stack: EmbeddedStack
    api: PrefectApi
    pipeline: Pipeline
    prefect_worker: ChildProcess

    @property
    def ui_url(self) -> str:
        return self.stack.servers.prefect.ui_url

    def deploy(self, connection: Connection) -> None:
        with self._as_client():
            deploy_connection(connection)

    def start_as_the_api(self, deployment: str, parameters: dict[str, str], key: str) -> str:
        """The flow run's id."""
        with self._as_client(), pytest.MonkeyPatch.context() as patient:
            patient.setattr("api.launcher.PATIENCE_SECONDS", ANSWER_SECONDS)
            return PrefectLauncher().start(deployment, parameters, key)

    @contextmanager
    def runs_crash_after(self, silence: timedelta) -> Iterator[None]:
        """Less than the 90 seconds that it takes otherwise."""
        with self._as_client():
            bootstrap(silence)
        try:
            yield
        finally:
            with self._as_client():
                bootstrap(SILENCE)

    @contextmanager
    def merging(self) -> Iterator[None]:
        """With one merge worker."""
        worker = self.stack.start_merge_worker()
        try:
            yield
        finally:
            worker.stop()

    def lose_the_machine_of_the_flow(self) -> None:
        """kill -9 for the Prefect worker and every flow below it: nobody is left to tell the server."""
        self.prefect_worker.kill()

    def start_prefect_worker(self) -> None:
        """In place of one that was lost."""
        log_path = self.stack.logs / "prefect-worker-again.log"
        self.prefect_worker = start_prefect_worker(environment=self.stack.environment(), directory=self.stack.directory, log_path=log_path)

    @contextmanager
    def _as_client(self) -> Iterator[None]:
        home = self.stack.servers.prefect.home
        with temporary_settings({PREFECT_API_URL: self.api.url, PREFECT_HOME: home}):
            yield


@contextmanager
def running_stack(directory: Path) -> Iterator[PrefectStack]:
    """Servers, deployments and a Prefect worker; no merge worker."""
    put_migrated_database(directory / "prefect")
    with EmbeddedStack(StackOptions(directory, merge_workers=0, bootstrap=bootstrap_in_a_process)) as stack:
        servers = stack.servers
        assert stack.prefect_worker is not None
        running = PrefectStack(
            stack,
            PrefectApi(f"{servers.prefect.ui_url}/api"),
            pipeline(servers.valkey.url, servers.broker.bootstrap_servers, access_to(servers.s3)),
            stack.prefect_worker,
        )
        try:
            yield running
        finally:
            running.prefect_worker.stop()
