"""The real API for tests: served by uvicorn in a thread of this process, on a free port, over real servers; and boto3 clients of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from pydantic import SecretStr

from api.app import make_app
from api.call import Services
from api.computations import Computations
from api.live_principals import LivePrincipals
from api.page_tokens import PageTokens
from api.server import ApiServer
from headrace.master_key import derived_key
from headrace.settings import ApiSettings, Settings
from profile_store.store import Store
from streaming.importing.follow import Follower
from streaming.serving import DomainEngine
from tests.pipeline import Pipeline

MASTER_KEY = SecretStr("5e" * 32)
ADMIN, READER, RETAILER, NOBODY = "HRTESTADMIN00000001", "HRTESTREADER0000001", "HRTESTRETAIL0000001", "HRTESTIDLE000000001"
SECRETS = {
    ADMIN: "the-secret-of-an-administrator",
    READER: "the-secret-of-a-reader-12345",
    RETAILER: "the-secret-of-a-retailer-123",
    NOBODY: "the-secret-of-somebody-without-rights",
}
PRINCIPALS = f"""\
version: 1
kind: principals
principals:
  - {{name: admin, keys: [{{id: {ADMIN}, from_file: {ADMIN}}}], allow: [{{operations: ["*"], domains: ["*"]}}]}}
  - {{name: reader, keys: [{{id: {READER}, from_file: {READER}}}], allow: [{{operations: ["Get*", "List*", "Search*"], domains: ["*"]}}]}}
  - {{name: retailer, keys: [{{id: {RETAILER}, from_file: {RETAILER}}}], allow: [{{operations: ["*"], domains: ["retail*"]}}]}}
  - {{name: nobody, keys: [{{id: {NOBODY}, from_file: {NOBODY}}}]}}
"""


@dataclass
class Started:
    """A deployment that was asked for."""

    deployment: str
    parameters: dict[str, Any]
    key: str


@dataclass
class NotedStarts:
    """Notes what it is asked to start, for tests without a Prefect server."""

    started: list[Started] = field(default_factory=list)

    def start(self, deployment: str, parameters: dict[str, Any], key: str = "") -> str:
        self.started.append(Started(deployment, parameters, key))
        return f"run-{len(self.started)}"


@dataclass(frozen=True)
class RunningApi:
    url: str
    services: Services
    launcher: NotedStarts

    def client(self, key_id: str = ADMIN, secret: str = "", **config: Any) -> Any:
        """One that is told of every refusal at once, the same for all who ask alike."""
        return client_of(self.url, key_id, secret, **config)


_session = boto3.session.Session()
_making = threading.Lock()


@cache
def client_of(url: str, key_id: str = ADMIN, secret: str = "", verify: str | None = None, **config: Any) -> Any:
    """A boto3 client that tries nothing again by itself, but for equal calls of one second. In a session of its own it would take half a second to make."""
    with _making:
        made = _session.client(
            "customer-profiles",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=key_id,
            aws_secret_access_key=secret or SECRETS[key_id],
            verify=verify,
            config=Config(retries={"total_max_attempts": 1}, proxies={}, **config),
        )
        made.meta.events.register("needs-retry.customer-profiles", signed_anew)
        return made


def signed_anew(response: Any, **_: Any) -> float | None:
    """Where calls are equal and of one second: what any SDK does, without its dice."""
    said = "" if response is None else response[1].get("Error", {}).get("Message", "")
    return 0.0 if said.startswith("An equal call") else None


@contextmanager
def running_api(real: Pipeline, directory: Path, launcher: NotedStarts | None = None, **settings: Any) -> Iterator[RunningApi]:
    """`launcher`: starts what the API wants to have started; `settings`: of ApiSettings."""
    path = write_principals(directory)
    api = ApiSettings(
        **{"port": 0, "principals_file": str(path), "master_key": MASTER_KEY, "partitions": 4, "drain_seconds": 1, **settings}
    )
    found = Settings(kafka=real.settings.kafka, redis=real.settings.redis, s3=real.settings.s3, api=api)
    store = Store(found.redis)
    launcher = launcher or NotedStarts()
    follower = Follower(real.context)
    engine = DomainEngine(real.context, follower, real.objects, "")
    services = Services(
        store, found, engine, launcher, PageTokens(derived_key(MASTER_KEY, "page tokens")), real.objects, Computations(store)
    )
    app = make_app(services, LivePrincipals(path))
    server = ApiServer(app, api)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    follower.follow_all()
    try:
        yield RunningApi(server.url, services, launcher)
    finally:
        follower.stop()
        services.computations.stop()
        server.stop()
        thread.join(10)
        app.state.trail.close()
        store.close()


def write_principals(directory: Path) -> Path:
    place = directory / "principals"
    place.mkdir(exist_ok=True)
    for key_id, secret in SECRETS.items():
        (place / key_id).write_text(secret)
    path = place / "principals.yaml"
    path.write_text(PRINCIPALS)
    return path
