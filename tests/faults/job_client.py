"""A client of the API, with boto3: it creates a job, uploads, starts, and stops it, as often as it takes while things go wrong, and waits for its end."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import redis
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from headrace.errors import HeadraceError
from headrace.upload_jobs import ENDS
from profile_store import counts, registry, upload_jobs
from tests.api_client import ADMIN, SECRETS, signed_anew
from tests.faults.shop_jobs import ShopJob, Stop
from tests.upload_shop import headers_of

if TYPE_CHECKING:
    from tests.faults.uploading import Uploading
    from tests.faults.world import Stage

PATIENCE_SECONDS = 60.0
AGAIN_SECONDS, LOOK_SECONDS, HALFWAY_LOOK_SECONDS = 0.1, 0.25, 0.005
HALFWAY = 0.2
"""Share of its lines that is applied when a job is stopped halfway; what is published by then is applied, too."""
_lock = threading.Lock()


@dataclass
class JobClient:
    """`job_ids`: of every CreateUploadJob that was answered. `done`: it has seen the end, which is `answer`."""

    stage: Stage
    job: ShopJob
    uploading: Uploading
    job_ids: list[str] = field(default_factory=list)
    done: bool = False
    answer: dict[str, Any] = field(default_factory=dict)
    _pause: threading.Event = field(default_factory=threading.Event)

    @property
    def domain(self) -> str:
        return self.job.domain(self.stage.domain)

    def play(self) -> None:
        """From the job's creation to its end. Raises AssertionError where the API refuses what it should do, or does nothing for too long."""
        self.job_ids.append(self._call("create_upload_job", **self.job.request(self.domain))["JobId"])
        self._upload()
        if self.job.stop is Stop.UNSTARTED:
            self._call_for_job("stop_upload_job")
        else:
            for _ in range(1 + self.job.started_twice):
                self._call_for_job("start_upload_job")
            if self.job.stop is Stop.HALFWAY:
                self._until(self._is_halfway, "some of the job is applied", HALFWAY_LOOK_SECONDS)
            if self.job.stop is not Stop.NEVER:
                self._call_for_job("stop_upload_job")
        self._until(self._is_over, "the job is over", LOOK_SECONDS)
        self.done = True

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.stage.environment['HEADRACE_API_PORT']}"

    @property
    def _named(self) -> dict[str, str]:
        return {"DomainName": self.domain, "JobId": self.job_ids[-1]}

    def _call_for_job(self, operation: str) -> None:
        """Of a job that is over by now it may be refused."""
        try:
            self._call(operation, **self._named)
        except ClientError as error:
            if error.response["Error"].get("Code") != "BadRequestException" or not self._is_over():
                raise

    def _call(self, operation: str, **members: Any) -> dict[str, Any]:
        """Again and again while the API is away, or what is behind it. Raises ClientError: it refuses."""

        def attempt() -> dict[str, Any] | None:
            try:
                answer: dict[str, Any] = getattr(client_at(self._url), operation)(**members)
            except BotoCoreError:
                return None
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] in (429, 503):
                    return None
                raise
            return None if is_cut(answer) else {"answer": answer}

        found: dict[str, Any] = self._until(attempt, f"the API answers {operation}")["answer"]
        return found

    def _upload(self) -> None:
        data, broken = self.job.as_csv(), self.job.put_broken
        path = self._call("get_upload_job_path", **self._named)
        headers = headers_of(path["ClientToken"])

        def attempt() -> bool:
            nonlocal broken
            half = self.uploading.kill_api if broken else None
            broken = False
            return put_file(path["Url"], data, headers, half) == 200

        self._until(attempt, "the file is uploaded")

    def _is_halfway(self) -> bool:
        """Or over, or Redis does not tell."""
        store = self.stage.real.store
        try:
            job = upload_jobs.find(store, self.domain, self.job_ids[-1])
            if job is None or job.is_over or not job.import_seq:
                return job is not None and job.is_over
            stored = registry.get_domain(store, self.domain)
            applied = counts.progress(store, self.domain, stored.partitions, job.import_seq).outcomes.rows
        except (HeadraceError, redis.RedisError):
            return False
        return applied >= HALFWAY * len(self.job.lines)

    def _is_over(self) -> bool:
        self.answer = self._call("get_upload_job", **self._named)
        return self.answer["Status"] in ENDS

    def _until(self, happened: Callable[[], Any], what: str, pause: float = AGAIN_SECONDS) -> Any:
        """What it gives, once it gives something."""
        begun = time.monotonic()
        while not (found := happened()):
            if self.uploading.closing.is_set():
                raise SystemExit
            assert time.monotonic() - begun < PATIENCE_SECONDS, f"for a minute it is not so that {what} (job {self.job.name})"
            self._pause.wait(pause)
        return found


def is_cut(answer: dict[str, Any]) -> bool:
    """Whoever answered was killed between the head and the body: botocore takes that for an empty answer (its `enforce_content_length=False`)."""
    announced = int(answer["ResponseMetadata"]["HTTPHeaders"].get("content-length", 0))
    return announced > len("{}") and answer.keys() == {"ResponseMetadata"}


def put_file(url: str, data: bytes, headers: dict[str, str], half: Callable[[], None] | None = None) -> int:
    """The status; 0: nobody answered. `half`: called when half of the file is sent."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        connection.putrequest("PUT", f"{parts.path}?{parts.query}")
        for name, value in {**headers, "content-length": str(len(data))}.items():
            connection.putheader(name, value)
        connection.endheaders(data[: len(data) // 2])
        if half is not None:
            half()
        connection.send(data[len(data) // 2 :])
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
    assert status in (200, 503), f"an upload is answered {status}"
    return status


def client_at(url: str) -> Any:
    """A boto3 client that is told of every refusal at once, but for equal calls of one second. One for each URL."""
    with _lock:  # sessions are not for several threads
        return _client(url)


@cache
def _client(url: str) -> Any:
    made = _session().client(
        "customer-profiles",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=ADMIN,
        aws_secret_access_key=SECRETS[ADMIN],
        config=Config(retries={"total_max_attempts": 1}, proxies={}, connect_timeout=5, read_timeout=20),
    )
    made.meta.events.register("needs-retry.customer-profiles", signed_anew)
    return made


@cache
def _session() -> boto3.session.Session:
    """It reads the model of the API once."""
    return boto3.session.Session()
