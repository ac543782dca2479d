"""The whole API with a domain, its worker, and upload jobs that run in threads: for tests that are a client of it."""

from __future__ import annotations

import base64
import hashlib
import http.client
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from headrace.settings import UploadSettings
from streaming.importing.run_upload import run_upload
from tests.api_client import MASTER_KEY, NotedStarts, RunningApi, running_api
from tests.pipeline import Pipeline
from tests.polling import eventually
from tests.uploaded import BUCKET, FIELDS

PREFIX = "x-amz-server-side-encryption-customer-"


@dataclass
class ThreadStarts(NotedStarts):
    """Runs the upload jobs that it is asked to start, each in a thread, as a Prefect worker would in a process."""

    real: Pipeline | None = None
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, deployment: str, parameters: dict[str, Any], key: str = "") -> str:
        assert self.real is not None
        assert deployment == "run-upload-job/any-job"
        known = any(one.key == key for one in self.started)
        run_id = super().start(deployment, parameters, key)
        if not known:
            context = replace(self.real.context, master_key=MASTER_KEY)
            about = (context, UploadSettings(), parameters["domain"], parameters["job_id"], uuid.uuid4().hex)
            self.threads.append(threading.Thread(target=run_upload, args=about, daemon=True))
            self.threads[-1].start()
        return run_id


@dataclass(frozen=True)
class Shop:
    """A domain of the API, with a worker."""

    api: RunningApi
    launcher: ThreadStarts
    domain: str

    @property
    def client(self) -> Any:
        return self.api.client()

    def create(self, **more: Any) -> str:
        asked = {"DomainName": self.domain, "DisplayName": f"assets {uuid.uuid4().hex}", "Fields": FIELDS, "UniqueKey": "asset_id", **more}
        job_id: str = self.client.create_upload_job(**asked)["JobId"]
        return job_id

    def path(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get_upload_job_path(DomainName=self.domain, JobId=job_id)
        return found

    def get(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get_upload_job(DomainName=self.domain, JobId=job_id)
        return found

    def start(self, job_id: str) -> None:
        self.client.start_upload_job(DomainName=self.domain, JobId=job_id)

    def ended(self, job_id: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found = self.get(job_id)
            return found if found["Status"] not in ("CREATED", "IN_PROGRESS") else None

        return eventually(look, within=60, what="the job is over")


def put(url: str, data: bytes, headers: dict[str, str], method: str = "PUT") -> tuple[int, str]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", data, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def headers_of(token: str) -> dict[str, str]:
    md5 = base64.b64encode(hashlib.md5(base64.b64decode(token)).digest()).decode()
    return {f"{PREFIX}algorithm": "AES256", f"{PREFIX}key": token, f"{PREFIX}key-MD5": md5}


@contextmanager
def running_shop(real: Pipeline, directory: Path, **settings: Any) -> Iterator[Shop]:
    """`settings`: of ApiSettings."""
    if BUCKET not in real.objects.list_buckets():
        real.make_bucket(BUCKET)
    launcher = ThreadStarts(real=real)
    with running_api(real, directory, launcher, **settings) as api:
        name = f"retail-{uuid.uuid4().hex[:8]}"
        api.client().create_domain(DomainName=name, DefaultExpirationDays=30)
        with real.workers(name):
            yield Shop(api, launcher, name)
            for one in launcher.threads:
                one.join(30)
