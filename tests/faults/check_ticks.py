"""After a schedule: of the runs of a connection one went on at a time and one waited, and who had nothing to do was told so rightly (SPEC R2, C4)."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from tests.faults.ticks import Said, said_by, ticked

NEVER = float("inf")


@dataclass(frozen=True)
class _Span:
    """A run went on, or waited, from `begin` to `end`. `gone`: it was killed, or fell victim to an outage; its place is free some time later."""

    begin: float
    end: float
    gone: bool


def check_ticks(directory: Path, shaken: list[float], turn_seconds: float) -> str:
    """What the runs did, for a person. `shaken`: when something happened that may have cost Redis a run's turn, which is written without waiting for
    the disk and expires unless it is renewed; `turn_seconds`: after which. Raises AssertionError."""
    told = []
    for connection in ticked(directory):
        said = said_by(directory, connection)
        by_run: defaultdict[int, list[Said]] = defaultdict(list)
        for one in said:
            by_run[one.process].append(one)
        runs = [run for run in by_run.values() if run[0].what == "asks"]
        going = [_span(run, "goes", ("leaves",)) for run in runs if _at(run, "goes") < NEVER]
        waiting = [_span(run, "waits", ("goes",)) for run in runs if _at(run, "waits") < NEVER]
        _one_at_a_time(f"runs of {connection} went on", going, shaken)
        _one_at_a_time(f"runs of {connection} waited", waiting, shaken)
        for run in runs:
            _check_spared(connection, run, runs, turn_seconds, shaken)
        _check_switch(connection, said, shaken)
        counts = Counter(one.what for one in said if one.what not in ("asks", "leaves", "wrote"))
        told.append(f"ticks of {connection}: {', '.join(f'{number} {what}' for what, number in counts.items())}")
    return "; ".join(told)


def _at(run: list[Said], *what: str) -> float:
    return next((one.at for one in run if one.what in what), NEVER)


def _span(run: list[Said], begin: str, end: tuple[str, ...]) -> _Span:
    ended, gone = _at(run, *end), _at(run, "gone")
    return _Span(_at(run, begin), min(ended, gone), gone < ended)


def _one_at_a_time(what: str, spans: list[_Span], shaken: list[float]) -> None:
    for one, other in combinations(sorted(spans, key=lambda span: span.begin), 2):
        excused = any(one.begin <= moment <= other.begin for moment in shaken)
        assert one.end <= other.begin or excused, f"two {what} at once: {one} and {other}"


def _check_spared(connection: str, run: list[Said], runs: list[list[Said]], turn_seconds: float, shaken: list[float]) -> None:
    """Another one waited, which began later than this one asked, or could have if it had not died; or Redis had forgotten that it waits no more."""
    asked, spared = _at(run, "asks"), _at(run, "spared")
    if spared == NEVER or any(moment <= spared and asked <= moment + turn_seconds for moment in shaken):
        return
    for other in runs:
        turn, gone = _at(other, "goes"), _at(other, "gone")
        waited = min(turn, gone + turn_seconds)
        if other is not run and _at(other, "asks") <= spared and asked <= waited < NEVER:
            return
    raise AssertionError(f"a run of {connection} had nothing to do, and no other one waited")


def _check_switch(connection: str, said: list[Said], shaken: list[float]) -> None:
    """While it was off no run worked, and while it was on none found it off. A switch that fell victim to an outage was made or not, until the next."""
    switched = [one for one in said if one.what in ("on", "off")]
    failed = [one.at for one in said if one.what == "switches" and one.process not in {each.process for each in switched}]
    for one in said:
        if one.what not in ("works", "idle"):
            continue
        looked = one.more["looked"]
        before = [each for each in switched if each.at <= looked]
        during = any(each.more["begun"] <= one.at and each.at >= looked for each in switched)
        state = before[-1].what if before else "on"
        excused = any(before[-1].at <= moment <= one.at for moment in shaken) if before else False
        right = (state == "on") == (one.what == "works")
        unsure = any(begun <= one.at and not any(begun < each.at <= looked for each in switched) for begun in failed)
        assert right or during or unsure or excused, f"a run of {connection} {one.what} though it was switched {state}"
