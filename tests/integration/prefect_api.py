"""A Prefect server as a client sees it: its REST API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from tests.polling import eventually

BUSY = 503
"""What Prefect answers while another writer holds its SQLite: nothing was done, ask again, as its own client does."""
BUSY_SECONDS = 60.0
ANSWER_SECONDS = 120.0
"""A write waits for SQLite that long at most; on a machine that runs the whole suite, a read was seen to take more than 30 s."""
FINAL_STATES = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


@dataclass(frozen=True)
class PrefectApi:
    """`url` ends in /api."""

    url: str

    def request(self, method: str, path: str, body: Any = None) -> Any:
        def ask() -> httpx.Response | None:
            answer = httpx.request(method, f"{self.url}{path}", json=body, timeout=ANSWER_SECONDS, trust_env=False)
            return None if answer.status_code == BUSY else answer

        response = eventually(ask, within=BUSY_SECONDS, what=f"Prefect is free to answer {method} {path}")
        response.raise_for_status()
        return response.json() if response.content else None

    def get(self, path: str) -> Any:
        return self.request("GET", path)

    def post(self, path: str, **body: Any) -> Any:
        return self.request("POST", path, body)

    def patch(self, path: str, **body: Any) -> None:
        self.request("PATCH", path, body)

    def deployment(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/deployments/name/{name}")
        return found

    def start(self, deployment: str, **parameters: str) -> str:
        """The new flow run's id."""
        run = self.post(f"/deployments/{self.deployment(deployment)['id']}/create_flow_run", parameters=parameters)
        return str(run["id"])

    def run(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/flow_runs/{run_id}")
        return found

    def finished(self, run_id: str, *, within: float) -> dict[str, Any]:
        """The run, when it has ended in whatever way."""
        return eventually(
            lambda: found if (found := self.run(run_id))["state_type"] in FINAL_STATES else None,
            within=within,
            what=f"flow run {run_id} ends",
        )

    def artifacts(self, run_id: str) -> dict[str, dict[str, Any]]:
        """By key. Those of the run and of its tasks."""
        found = self.post("/artifacts/filter", artifacts={"flow_run_id": {"any_": [run_id]}})
        return {artifact["key"]: artifact for artifact in found}

    def logs(self, run_id: str) -> str:
        found = self.post("/logs/filter", logs={"flow_run_id": {"any_": [run_id]}}, sort="TIMESTAMP_ASC")
        return "\n".join(line["message"] for line in found)
