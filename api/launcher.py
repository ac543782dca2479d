"""Starts runs of Prefect deployments by their names. The one file of the API that knows Prefect."""

from __future__ import annotations

from typing import Any, Protocol

from api.metrics import RUNS_ASKED
from headrace.errors import TransientError

PATIENCE_SECONDS, TRIES_MORE = 5.0, 2
"""With one question to Prefect, of which a run takes three: somebody waits for the answer, and who looks after jobs tries again some minutes later."""


class Launcher(Protocol):
    def start(self, deployment: str, parameters: dict[str, Any], key: str = "") -> str:
        """`deployment`: flow/deployment; `parameters`: names, never secrets; `key`: the same key starts no second run. Gives the run's id.

        Raises TransientError where Prefect does not answer, or has no such deployment yet.
        """


class PrefectLauncher:
    """Of the Prefect server that PREFECT_API_URL names."""

    def start(self, deployment: str, parameters: dict[str, Any], key: str = "") -> str:
        try:
            run_id = self._start(deployment, parameters, key)
        except TransientError:
            RUNS_ASKED.labels(deployment, "no").inc()
            raise
        RUNS_ASKED.labels(deployment, "yes").inc()
        return run_id

    def _start(self, deployment: str, parameters: dict[str, Any], key: str) -> str:
        # Prefect takes a second to import: only whoever starts a run pays for it.
        from httpx import HTTPError
        from prefect.client.orchestration import get_client
        from prefect.exceptions import PrefectException
        from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

        try:
            with (
                temporary_settings({PREFECT_CLIENT_MAX_RETRIES: TRIES_MORE}),
                get_client({"timeout": PATIENCE_SECONDS}, sync_client=True) as client,
            ):
                found = client.read_deployment_by_name(deployment)
                run = client.create_flow_run_from_deployment(found.id, parameters=parameters, idempotency_key=key or None)
        except (HTTPError, PrefectException) as error:
            raise TransientError(f"Prefect did not start {deployment} ({type(error).__name__}).", code="PREFECT_UNAVAILABLE") from error
        return str(run.id)
