"""What a schedule does, drawn from its seed alone: files, partitions, workers, and faults with the moments at which they strike.

A moment is a share of all rows applied, never a time: so the same seed meets the same places of the work on a slow machine and on a fast one.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from tests.faults.shop_files import OBJECTIVES, ShopFile, draw_files
from tests.faults.shop_jobs import ShopJob, accounts_file, job_of

AFTER_THE_END = 2.0
"""A moment that comes when every import has ended."""


class Kind(StrEnum):
    """What can go wrong. Each has its function in tests/faults/strikes.py."""

    KILL_WORKER = "a worker is killed -9"
    FREEZE_WORKER = "a worker is stopped past its session time-out, then continued"
    KILL_FLOW = "the flow is killed -9"
    KILL_REDIS = "Redis is killed -9"
    POWER_CUT = "Redis loses what its disk does not have"
    KILL_BROKER = "the broker is killed -9"
    CUT_BEFORE = "links to Redis are cut before it hears"
    CUT_AFTER = "links to Redis are cut before its reply"
    REDIS_FULL = "Redis is full for a while"
    TWIN = "the same import is started a second time"
    PUBLISH_TWICE = "every batch is published twice"
    WIPE = "the topics are deleted and created again"
    ERASE = "a profile's erasure is asked for"
    RESHARD = "a slot of the cluster moves to another node"
    SEGMENTS = "segments are changed, and built while imports go on"
    EXPORTS = "exports are started while imports go on"
    UPLOAD = "a client of the API has a file imported by an upload job"
    KILL_API = "the API is killed -9"
    EXPIRE = "profiles of upload jobs expire"


class Mishap(StrEnum):
    """What happens to runs of a connection that start at nearly once."""

    NOTHING = "nothing happens to them"
    KILLED = "the one that goes on is killed -9"
    SWITCHED_OFF = "the connection is switched off while one goes on"
    OFF_BEFORE = "the connection is switched off before they start"


@dataclass(frozen=True)
class Ticks:
    """`size`: of the mishap (0–1): how late."""

    count: int
    mishap: Mishap
    size: float

    def __str__(self) -> str:
        return f"{self.count} ticks; {self.mishap} ({self.size:.2f})"


@dataclass(frozen=True)
class Fault:
    """`at`: share of all rows applied. `size`: what the kind makes of it (0–1): how late, how much, which one."""

    kind: Kind
    at: float
    size: float

    def __str__(self) -> str:
        when = "after the end" if self.at >= AFTER_THE_END else f"at {self.at:.0%}"
        return f"{when} {self.kind} ({self.size:.2f})"


@dataclass(frozen=True)
class Schedule:
    """`waves`: places in `files`; those of one wave are imported at once, each by a flow of its own. `batch_rows`: rows of a full batch.

    `ticks`: place of a file → how its import is started, where its connection's schedule does it; the others are started once.
    `segments`: the domain has some from the start. `exports`: and a connection that exports them, to who consented to one of `exports_for` (none: all).
    `terse`: workers commit and tell each other little at a time (tests/faults/terse_worker.py).
    `republication` is forbidden wherever no topic is wiped: what was published once, whole, is never published again, so the topic and Redis alone must
    be enough.
    """

    seed: int
    partitions: int
    workers: int
    batch_rows: int
    fsync: Literal["always", "everysec"]
    cluster: bool
    republication: Literal["forbidden", "free"]
    files: tuple[ShopFile, ...]
    waves: tuple[tuple[int, ...], ...]
    faults: tuple[Fault, ...]
    ticks: tuple[tuple[int, Ticks], ...] = ()
    segments: bool = False
    exports: bool = False
    exports_for: tuple[str, ...] = ()
    terse: bool = False

    @property
    def rows(self) -> int:
        """Of the shop's own domain: by these, moments are told."""
        return sum(len(file.rows) for file in self.files if not file.household)

    @property
    def jobs(self) -> tuple[ShopJob, ...]:
        """Upload jobs, in the order in which they begin."""
        return tuple(job_of(fault.size) for fault in self.faults if fault.kind is Kind.UPLOAD)

    def domains(self, shop: str) -> tuple[str, ...]:
        """The shop's own, that of its households where a file is for them, and that of the API where an upload job is for it."""
        return tuple(dict.fromkeys((shop, *(file.domain(shop) for file in self.files), *self.job_domains(shop))))

    def job_domains(self, shop: str) -> tuple[str, ...]:
        """Those that upload jobs are for."""
        return tuple(dict.fromkeys(one.domain(shop) for one in self.jobs))

    def lines(self) -> list[str]:
        """For people."""
        store = f"{'cluster' if self.cluster else 'one node'}, appendfsync {self.fsync}"
        return [
            f"seed {self.seed}: {self.partitions} partitions, {self.workers} workers, {self.batch_rows} rows a batch, {store},"
            f" republication {self.republication}{', terse' if self.terse else ''}",
            f"  segments: {'from the start' if self.segments else 'none at the start'}{', exported' if self.exports else ''}",
            *(f"  file {place}: {file}" for place, file in enumerate(self.files)),
            f"  in this order: {' then '.join(' with '.join(map(str, wave)) for wave in self.waves)}",
            *(f"  file {place}: {ticks}" for place, ticks in self.ticks),
            *(f"  {job}" for job in self.jobs),
            *(f"  {fault}" for fault in self.faults),
        ]


WEIGHTS = {
    Kind.KILL_WORKER: 5,
    Kind.FREEZE_WORKER: 3,
    Kind.KILL_FLOW: 3,
    Kind.KILL_REDIS: 3,
    Kind.POWER_CUT: 6,
    Kind.KILL_BROKER: 1,
    Kind.CUT_BEFORE: 3,
    Kind.CUT_AFTER: 4,
    Kind.REDIS_FULL: 2,
    Kind.TWIN: 2,
    Kind.ERASE: 3,
}
ONCE = frozenset({Kind.KILL_BROKER, Kind.WIPE, Kind.PUBLISH_TWICE})
IN_A_CLUSTER = {
    Kind.RESHARD: 6,
    Kind.KILL_WORKER: 3,
    Kind.FREEZE_WORKER: 1,
    Kind.KILL_FLOW: 2,
    Kind.KILL_REDIS: 1,
    Kind.POWER_CUT: 6,
    Kind.TWIN: 1,
    Kind.ERASE: 1,
}
"""There partitions live on different servers, and one of them may lose what another has heard of it."""
FREELY = {**WEIGHTS, Kind.PUBLISH_TWICE: 3, Kind.WIPE: 5}
FEWEST_FAULTS, MOST_FAULTS = 4, 6
IMPORTS_AT_ONCE = 0.3
"""Share of the schedules in which two connections import into the domain at once."""


WITH_SEGMENTS, WITH_A_CHANGE_OF_SEGMENTS, WITH_TICKS = 0.5, 0.4, 0.4
"""Shares of the schedules."""
TERSELY, PUBLISHED_TWICE = 0.4, 0.1
"""Shares of the schedules."""
WITH_EXPORTS, EXPORTS_FOR_SOME = 0.8, 0.3
"""Shares of the schedules that have segments from the start."""
WITH_JOBS, WITH_ACCOUNTS, EXPIRED_AT_LAST = 0.35, 0.5, 0.4
"""Shares of the schedules; of those with jobs, that also have a connection which imports their people; of the expiries, that come after the end."""


def draw(seed: int) -> Schedule:
    """The schedule of a seed: the same for ever, on every machine. What was thought of later has a source of its own, so that a seed draws the rest as
    before."""
    rnd = random.Random(seed)
    of_jobs = random.Random(f"jobs of {seed}")
    of_segments, of_exports = random.Random(f"segments of {seed}"), random.Random(f"exports of {seed}")
    cluster = rnd.random() < 0.15
    with_a_wipe = rnd.random() < 0.3
    files = draw_files(rnd)
    partitions, workers = rnd.choice((2, 3, 4, 4, 6, 8)), rnd.choice((2, 2, 3))
    batch_rows, fsync = rnd.choice((10, 20, 40)), rnd.random() < 0.1
    waves = _waves(rnd, files)
    faults = _with_segments(of_segments, _faults(rnd, IN_A_CLUSTER if cluster else FREELY if with_a_wipe else WEIGHTS))
    if random.Random(f"twice {seed}").random() < PUBLISHED_TWICE and all(fault.kind is not Kind.PUBLISH_TWICE for fault in faults):
        faults = (Fault(Kind.PUBLISH_TWICE, 0.0, 0.0), *faults)
    segments = of_segments.random() < WITH_SEGMENTS
    exports = of_exports.random() < WITH_EXPORTS and segments
    ticks = _ticks(random.Random(f"ticks of {seed}"), len(files))
    if of_jobs.random() < WITH_JOBS:
        faults = _with_jobs(of_jobs, faults)
        if of_jobs.random() < WITH_ACCOUNTS:
            beside = of_jobs.randrange(len(waves))
            waves = tuple((*wave, len(files)) if place == beside else wave for place, wave in enumerate(waves))
            files = (*files, accounts_file(of_jobs, f"{len(files)}.csv"))
    return Schedule(
        seed,
        partitions=partitions,
        workers=workers,
        batch_rows=batch_rows,
        fsync="everysec" if fsync else "always",
        cluster=cluster,
        republication="free" if any(fault.kind is Kind.WIPE for fault in faults) else "forbidden",
        files=files,
        waves=waves,
        faults=_with_exports(of_exports, faults) if exports else faults,
        ticks=ticks,
        segments=segments,
        exports=exports,
        exports_for=OBJECTIVES[:1] if of_exports.random() < EXPORTS_FOR_SOME else (),
        terse=random.Random(f"terse {seed}").random() < TERSELY,
    )


def _ticks(rnd: random.Random, files: int) -> tuple[tuple[int, Ticks], ...]:
    """Of one file's connection."""
    place, ticks = rnd.randrange(files), ticks_of(rnd.random())
    return ((place, Ticks(rnd.choice((2, 3)), ticks.mishap, ticks.size)),) if rnd.random() < WITH_TICKS else ()


def ticks_of(size: float) -> Ticks:
    """One to three, drawn by a number from 0 to 1."""
    rnd = random.Random(size)
    mishaps = {Mishap.NOTHING: 3, Mishap.KILLED: 5, Mishap.SWITCHED_OFF: 1, Mishap.OFF_BEFORE: 1}
    [mishap] = rnd.choices(list(mishaps), list(mishaps.values()))
    return Ticks(rnd.choice((1, 2, 3)), mishap, rnd.random())


def _waves(rnd: random.Random, files: tuple[ShopFile, ...]) -> tuple[tuple[int, ...], ...]:
    """One behind the other, but for two of the shop's at times, and for households, which are imported with any other."""
    of_people = [place for place, file in enumerate(files) if not file.household]
    together, first = rnd.random() < IMPORTS_AT_ONCE, rnd.randrange(len(of_people) - 1)
    waves: list[tuple[int, ...]] = [(place,) for place in of_people]
    if together and not files[first].needs_an_empty_store:
        waves = [(place, place + 1) if place == first else (place,) for place in of_people if place != first + 1]
    for place in sorted(set(range(len(files))) - set(of_people)):
        beside = rnd.randrange(len(waves))
        waves[beside] = (*waves[beside], place)
    return tuple(waves)


def _faults(rnd: random.Random, weights: dict[Kind, int]) -> tuple[Fault, ...]:
    weights = dict(weights)
    found = []
    for _ in range(rnd.randint(FEWEST_FAULTS, MOST_FAULTS)):
        [kind] = rnd.choices(list(weights), list(weights.values()))
        if kind in ONCE:
            del weights[kind]
        found.append(Fault(kind, _moment(rnd, kind), rnd.random()))
    return tuple(sorted(found, key=lambda fault: fault.at))


def _with_segments(rnd: random.Random, faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
    if rnd.random() >= WITH_A_CHANGE_OF_SEGMENTS:
        return faults
    return tuple(sorted((*faults, Fault(Kind.SEGMENTS, round(rnd.random(), 3), rnd.random())), key=lambda fault: fault.at))


def _with_exports(rnd: random.Random, faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
    found = [Fault(Kind.EXPORTS, round(rnd.random(), 3), rnd.random()) for _ in range(rnd.choice((2, 3)))]
    return tuple(sorted((*faults, *found), key=lambda fault: fault.at))


def _with_jobs(rnd: random.Random, faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
    """One or two, expiries behind the first, and the API killed now and then."""
    jobs = [Fault(Kind.UPLOAD, round(rnd.random() * 0.7, 3), rnd.random()) for _ in range(rnd.choice((1, 1, 2)))]
    begin = min(job.at for job in jobs)
    expiries = [AFTER_THE_END if rnd.random() < EXPIRED_AT_LAST else round(rnd.uniform(begin, 1.0), 3) for _ in range(rnd.choice((1, 2)))]
    more = [Fault(Kind.EXPIRE, at, rnd.random()) for at in expiries]
    more += [Fault(Kind.KILL_API, round(rnd.uniform(begin, 1.0), 3), rnd.random()) for _ in range(rnd.choice((0, 1, 1)))]
    return tuple(sorted((*faults, *jobs, *more), key=lambda fault: fault.at))


def _moment(rnd: random.Random, kind: Kind) -> float:
    """Anywhere; a loss of what is not on disk often near the end of the work, and after it."""
    if kind is Kind.PUBLISH_TWICE:
        return 0.0
    if kind is Kind.POWER_CUT and rnd.random() < 0.4:
        return rnd.choice((0.9, 0.97, 1.0, AFTER_THE_END))
    return round(rnd.random(), 3)
