"""The driver's side of upload jobs: the API as a process, a client for each job, the runs that the API asks for, and the flow that looks after jobs."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import redis

from headrace.errors import HeadraceError
from profile_store import upload_jobs
from tests.faults.api_process import ApiOptions, launched
from tests.faults.flow import AGAIN
from tests.faults.job_client import JobClient
from tests.faults.jobs import LOOK, UPLOAD
from tests.faults.nursery import Process
from tests.faults.rounds import KILLED
from tests.faults.shop_jobs import ShopJob

if TYPE_CHECKING:
    from tests.faults.run import Run

API = "tests.faults.api_process"
AGAIN_SECONDS = 0.3
"""An API that has ended is started again this much later."""
LOOK_SECONDS = 1.0


@dataclass
class Uploading:
    """`going`: a client waits for its job, or one has to be looked after."""

    run: Run
    going: bool = False
    closing: threading.Event = field(default_factory=threading.Event)
    clients: list[JobClient] = field(default_factory=list)
    _api: Process | None = None
    _asked: set[str] = field(default_factory=set)
    _api_waits: bool = False
    _looked: float = 0.0

    def start(self, job: ShopJob) -> None:
        """The API is started anew, to end itself where the job says."""
        self.kill_api()
        self._start_api(job.api_point)
        client = JobClient(self.run.stage, job, self)
        self.clients.append(client)
        self.going = True
        self.run.in_thread(client.play)

    def kill_api(self) -> None:
        if self._api is not None:
            self._api.kill()

    def close(self) -> None:
        self.closing.set()
        self.kill_api()
        self._api = None

    def go_on(self) -> None:
        """What is to be started now."""
        if not self.going:
            return
        if self._api is not None and not self._api.running and not self._api_waits:
            code = self._api.poll()
            assert code in (AGAIN, KILLED), f"the API ended with {code}; see {self._api.log}"
            self.run.note(f"the API ended with {code}; started again")
            self._api_waits = True
            self.run.later(AGAIN_SECONDS, self._start_api)
        for one in launched(self.run.stage.directory):
            if one.key not in self._asked and "job_id" in one.parameters:
                self._asked.add(one.key)
                self._launch(one.parameters["domain"], one.parameters["job_id"])
        if time.monotonic() - self._looked > LOOK_SECONDS and not any(flow.task == LOOK for flow in self.run.flows):
            self._looked = time.monotonic()
            left = self._open_jobs()
            if left is None or left:
                self.run.start_flow(LOOK)
            self.going = left is None or left > 0 or any(not client.done for client in self.clients)

    def _start_api(self, failpoint: str = "") -> None:
        self._api_waits = False
        if self.closing.is_set() or (self._api is not None and self._api.running):
            return
        stage = self.run.stage
        options = ApiOptions(str(stage.directory), self.run.lease_seconds, failpoint)
        log = stage.directory / "api.log"
        self._api = stage.world.nursery.start(API, [json.dumps(asdict(options))], stage.environment, log)

    def _launch(self, domain: str, job_id: str) -> None:
        [client] = [one for one in self.clients if job_id in one.job_ids]
        if client.job.launched:
            self.run.start_flow(f"{UPLOAD}{domain}:{job_id}", client.job.flow_point)
        else:
            self.run.note(f"the run of job {client.job.name} never begins")

    def _open_jobs(self) -> int | None:
        """How many jobs somebody has to look after; None: Redis does not tell."""
        stage = self.run.stage
        if self.run.redis_busy and not stage.schedule.cluster:
            return None
        try:
            return sum(len(upload_jobs.open_jobs(stage.real.store, domain)) for domain in stage.schedule.job_domains(stage.domain))
        except (HeadraceError, redis.RedisError):
            return None
