"""One schedule, run: workers and flows as processes, faults when their moment comes, everything started again until all imports have ended."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import redis

from headrace.errors import HeadraceError
from headrace.outcomes import Outcome, Outcomes
from profile_store import keys, sequence
from tests.faults.check import check_keys, check_profiles
from tests.faults.check_jobs import check_jobs
from tests.faults.check_ticks import check_ticks
from tests.faults.check_versions import check_versions
from tests.faults.flow import AGAIN, TURN_SECONDS, FlowOptions
from tests.faults.jobs import LOOK, UPLOAD
from tests.faults.nursery import Process
from tests.faults.rounds import KILLED
from tests.faults.schedule import AFTER_THE_END, Fault, Kind
from tests.faults.shop_exports import OUT, bucket_of, export_goals
from tests.faults.shop_files import shop_domain, shop_with_households
from tests.faults.shop_jobs import api_domain, with_accounts
from tests.faults.shop_segments import FROM_THE_START
from tests.faults.standing import standing
from tests.faults.strikes import strike
from tests.faults.terse_worker import TERSE
from tests.faults.ticking import Ticking
from tests.faults.ticks import OFF, ON, TICK, say
from tests.faults.uploading import Uploading
from tests.faults.world import Stage
from tests.membership import check_members
from tests.uploaded import Uploads

ROUND_SECONDS = 600.0
STUCK_SECONDS = 40.0
"""Without a row applied, a run ended or a fault struck for so long, nothing will happen any more. Below the 60 s of the flow's own patience."""
LEASE_SECONDS = 2
STALLED_SECONDS = 3.0
LOOK_SECONDS = 0.03
NOT_FORESEEN = re.compile(r"^Traceback \(most recent call last\):|^  File \"", re.MULTILINE)
"""In what a process writes: an error that none of its own words describes."""
COULD_NOT_START = re.compile(r"ERROR +\| headrace\.worker - [A-Z_]+: [^\n]*\n?\Z")
"""The last word of a worker that looked at Redis' settings, and could not, or found them wrong: once it works it only pauses, whatever comes."""
ROWS = [outcome.value for outcome in Outcome]


class ScheduleFailedError(AssertionError):
    """What went wrong in a schedule."""


@dataclass
class Flow:
    """`task`: a connection's name, an erasure, a tick… (see tests/faults/flow.py)."""

    task: str
    process: Process

    @property
    def connection(self) -> str:
        """Whose ticks it is one of; '' for others."""
        kind, _, name = self.task.partition(":")
        return name if f"{kind}:" in (TICK, ON, OFF) else ""


@dataclass
class Run:
    """`ended_flows`: runs that ended well. `redis_busy`, `broker_busy`: something is being done to it, and nothing else may be."""

    stage: Stage
    workers: list[Process] = field(default_factory=list)
    flows: list[Flow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ended_flows: int = 0
    redis_busy: bool = False
    broker_busy: bool = False
    lease_seconds: int = LEASE_SECONDS
    ticking: Ticking = field(init=False)
    uploading: Uploading = field(init=False)
    _begun: float = field(default_factory=time.monotonic)
    _pending: list[Fault] = field(default_factory=list)
    _waiting: list[tuple[float, Callable[[], bool], Callable[[], None]]] = field(default_factory=list)
    _failure: BaseException | None = None
    _threads: list[threading.Thread] = field(default_factory=list)
    _resting: set[int] = field(default_factory=set)
    _over: bool = False
    _applied: int = 0
    _ended_rows: dict[int, int] = field(default_factory=dict)
    _pause: threading.Event = field(default_factory=threading.Event)
    _shaken: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ticking, self.uploading = Ticking(self), Uploading(self)

    # what faults may ask for

    def note(self, text: str) -> None:
        self.notes.append(f"{time.monotonic() - self._begun:6.2f} s, {self._applied} rows: {text}")

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        self.when(lambda: False, do, within=seconds)

    def when(self, happened: Callable[[], bool], do: Callable[[], None], *, within: float) -> None:
        """`do` as soon as it has happened, or after so many seconds."""
        self._waiting.append((time.monotonic() + within, happened, do))

    def in_thread(self, do: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                do()
            except BaseException as error:  # noqa: BLE001 - told by the run's own loop
                self._failure = error

        thread = threading.Thread(target=guarded, daemon=True)
        self._threads.append(thread)
        thread.start()

    def restart_worker(self, place: int, *, after: float) -> None:
        self._resting.add(place)

        def start() -> None:
            self._resting.discard(place)
            self.workers[place] = self._worker(place)

        self.later(after, start)

    def shake(self) -> None:
        """From now on Redis may lose what nobody waited for: runs' turns, switches of connections."""
        self._shaken.append(time.monotonic())

    def start_flow(self, task: str, failpoint: str = "") -> None:
        schedule = self.stage.schedule
        forbidden = schedule.republication == "forbidden"
        options = FlowOptions(
            directory=str(self.stage.directory),
            batch_rows=schedule.batch_rows,
            lease_seconds=self.lease_seconds,
            stalled=None if forbidden else STALLED_SECONDS,
            publish_twice=any(fault.kind is Kind.PUBLISH_TWICE for fault in schedule.faults),
            failpoint=failpoint,
        )
        log = self.stage.directory / f"flow-{task.replace(':', '-')}.log"
        arguments = [task, json.dumps(asdict(options))]
        process = self.stage.world.nursery.start("tests.faults.flow", arguments, self.stage.environment, log)
        self.flows.append(Flow(task, process))

    # the schedule

    def play(self) -> None:
        """From the files to the comparison with the oracle. Raises ScheduleFailedError, or whatever the checks raise."""
        schedule = self.stage.schedule
        self._prepare()
        self.note("prepared")
        self._pending = list(schedule.faults)
        try:
            self.workers = [self._worker(place) for place in range(schedule.workers)]
            for wave in schedule.waves:
                for place in wave:
                    self._start_import(place)
                self._until(lambda: not self._imports_go_on())
                self._check_quiet()
            # Shares that rounding, or a rejected row, kept from being reached strike now.
            self._pending = [
                fault if fault.at >= AFTER_THE_END else Fault(fault.kind, AFTER_THE_END, fault.size) for fault in self._pending
            ]
            for fault in [one for one in self._pending if one.kind in (Kind.KILL_FLOW, Kind.TWIN)]:
                self.note(f"there is none any more: {fault}")
                self._pending.remove(fault)
            self._over = True
            self._until(
                lambda: (
                    not (self._pending or self.flows or self.ticking.steps or self.uploading.going)
                    and not (self._waiting or self.redis_busy or self.broker_busy)
                )
            )
            self.note("all has ended")
            self._check()
            self.note("compared")
        finally:
            self.uploading.close()
            for process in [*self.workers, *(flow.process for flow in self.flows)]:
                process.kill()
            for thread in self._threads:
                thread.join(60)
            for _, _, do in self._waiting:  # a broker that is down belongs to the next schedule too
                do()
            for thread in self._threads:
                thread.join(60)

    def _start_import(self, place: int) -> None:
        """Once; or by ticks, of which one does it."""
        ticks = dict(self.stage.schedule.ticks).get(place)
        if ticks is None:
            self.start_flow(f"c{place}")
        else:
            self.ticking.start(f"c{place}", ticks)

    def _imports_go_on(self) -> bool:
        """Or an upload job, an erasure, a change of segments: all but exports, which change no profile."""
        return any(flow.connection != OUT for flow in self.flows) or bool(self.ticking.steps.keys() - {OUT}) or self.uploading.going

    def _check_quiet(self) -> None:
        """Between two imports nothing changes: membership is what the definitions say of the profiles that are there."""
        if not self.redis_busy:
            check_members(self.stage.real.store, self.stage.domain, self.stage.real.profiles(self.stage.domain))

    def _check(self) -> None:
        for log in sorted(self.stage.directory.glob("*.log")):
            said = log.read_text(errors="replace")
            if found := NOT_FORESEEN.search(said):
                raise ScheduleFailedError(
                    f"{log.name} has what nobody foresaw:\n{said[max(0, found.start() - 500) : found.start() + 2_500]}"
                )
        addresses = check_profiles(self.stage)
        self.note(check_jobs(self.stage, self.uploading.clients))
        self.note(check_ticks(self.stage.directory, self._shaken, TURN_SECONDS))
        self.note(check_versions(self.stage))
        try:
            check_keys(self.stage, addresses)
        except AssertionError as error:
            if all(fault.kind is not Kind.POWER_CUT for fault in self.stage.schedule.faults):
                raise
            # Redis may have lost the deletion of a message that was heard: the next owner deletes it.
            self.note(f"{error}; for the next owner")
            for worker in self.workers:
                worker.kill()
            self.workers = [self._worker(0)]
            check_keys(self.stage, addresses)

    def _prepare(self) -> None:
        stage = self.stage
        stage.real.make_bucket(stage.domain)
        shop = shop_with_households if len(stage.domains) > 1 else shop_domain
        for place, file in enumerate(stage.schedule.files):
            source = {"bucket": stage.domain, "directory": f"{place}/", "files": file.name}
            goal: dict[str, Any] = {**file.goal, "domain": stage.domain, "source": source}
            definition = with_accounts(shop(stage.domain, stage.schedule.partitions), stage.schedule.files)
            stage.real.apply(definition, goal, f"c{place}", objectives=file.objectives)
            stage.real.put(stage.domain, f"{place}/{file.name}", file.as_csv())
        if stage.schedule.segments:
            stage.real.define_segments(stage.domain, *FROM_THE_START)
        if stage.schedule.exports:
            stage.real.make_bucket(bucket_of(stage.domain), versioned=True)
            goals, objectives = export_goals(stage.domain), stage.schedule.exports_for
            definition = with_accounts(shop(stage.domain, stage.schedule.partitions), stage.schedule.files)
            stage.real.apply_goals(definition, goals, OUT, objectives=objectives)
        if (name := api_domain(stage.domain)) in stage.domains:
            Uploads(stage.real, name, stage.real.settings.uploads).make_domain(stage.schedule.partitions)

    def _worker(self, place: int) -> Process:
        log = self.stage.directory / f"worker-{place}.log"
        module = TERSE if self.stage.schedule.terse else "streaming.worker.__main__"
        return self.stage.world.nursery.start(module, [*self.stage.domains], self.stage.environment, log)

    def _until(self, over: Callable[[], bool]) -> None:
        begun = moved = time.monotonic()
        while not over():
            if time.monotonic() - begun > ROUND_SECONDS:  # ticks, say, of which none finds anything to do
                raise ScheduleFailedError(f"going round: {self._applied} of {self.stage.schedule.rows} rows applied, and no end")
            before = self._stands()
            self._turn()
            if before != self._stands():
                moved = time.monotonic()
            elif time.monotonic() - moved > STUCK_SECONDS:
                for line in standing(self.stage):
                    self.note(line)
                raise ScheduleFailedError(f"stuck: {self._applied} of {self.stage.schedule.rows} rows applied, and nothing goes on")
            self._pause.wait(LOOK_SECONDS)

    def _stands(self) -> tuple[int, ...]:
        """It changes while anything goes on; to look after jobs again and again is nothing."""
        flows = sum(flow.task != LOOK for flow in self.flows)
        return self._applied, self.ended_flows, len(self._pending), len(self._waiting), flows

    def _turn(self) -> None:
        if self._failure is not None:
            raise ScheduleFailedError(f"a fault could not be carried out: {self._failure!r}") from self._failure
        now = time.monotonic()
        due = [one for one in self._waiting if one[0] <= now or one[1]()]
        self._waiting = [one for one in self._waiting if one not in due]
        for _, _, do in due:
            do()
        for place, worker in enumerate(self.workers):
            if place not in self._resting and not worker.running:
                if worker.poll() != KILLED and not COULD_NOT_START.search(_tail(worker)):
                    raise ScheduleFailedError(f"worker {place} ended with {worker.poll()}, and says:\n{_tail(worker)}")
                self.note(f"worker {place} ended with {worker.poll()}; started again")
                self.restart_worker(place, after=0.2)
        self._look_after_flows()
        self.ticking.go_on()
        self.uploading.go_on()
        self._look()
        share = AFTER_THE_END if self._over else self._applied / self.stage.schedule.rows
        if self._pending and self._pending[0].at <= share and strike(self, self._pending[0]):
            self.note(str(self._pending.pop(0)))

    def _look_after_flows(self) -> None:
        for flow in list(self.flows):
            code = flow.process.poll()
            if code is None:
                continue
            self.flows.remove(flow)
            if code == 0:
                self.ended_flows += flow.task != LOOK
                self.note(f"the flow of {flow.task} has ended well")
            elif code not in (AGAIN, KILLED):
                raise ScheduleFailedError(f"the flow of {flow.task} ended with {code}, and says:\n{_tail(flow.process)}")
            elif flow.task.startswith((UPLOAD, LOOK)):
                self.note(f"the flow of {flow.task} ended with {code}; the job is looked after")
            else:
                self.note(f"the flow of {flow.task} ended with {code}; started again")
                if flow.connection:
                    say(self.stage.directory, flow.connection, "gone", flow.process.pid)
                self.start_flow(flow.task)

    def _look(self) -> None:
        """How many rows are applied, as far as Redis tells now."""
        store, domain, partitions = self.stage.real.store, self.stage.domain, self.stage.schedule.partitions
        if self.redis_busy and not self.stage.schedule.cluster:
            return
        try:
            floor = sequence.domain_floor(store, domain)
            for import_seq in range(1, floor + 1):
                if import_seq not in self._ended_rows:
                    result = sequence.read_result(store, domain, import_seq) or {}
                    self._ended_rows[import_seq] = Outcomes(**{one.name: result.get(one.name, 0) for one in fields(Outcomes)}).rows
            under_way = [keys.tally(domain, partition, floor + 1) for partition in range(partitions)]
            counts = store.client.pipeline(transaction=False)
            for key in under_way:
                counts.hmget(key, ROWS)
            applied = sum(int(number or 0) for found in counts.execute() for number in found)
        except (HeadraceError, redis.RedisError):
            return
        self._applied = applied + sum(self._ended_rows.values())


def _tail(process: Process) -> str:
    return process.log.read_text(errors="replace")[-3_000:]
