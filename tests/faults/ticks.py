"""Runs of a connection as its schedule starts them, several at nearly once, and what each says of itself (SPEC R2, docs/adr/0016).

The steps are those of `flows.run_goals`, with the product's own turns: look whether there is anything to do, wait for the turn, look again, import,
export. What is said is appended to a file of the connection, with a time that all processes of a machine share.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from headrace.connections import Connection
from headrace.errors import TransientError
from headrace.goal_choice import EVERYTHING, chosen_exports
from headrace.run_work import work_of
from profile_store import registry
from streaming.exporting.close_export import close_export, settle_exports
from streaming.exporting.write_export import write_export
from streaming.importing.await_run_turn import await_run_turn, holding_turn, scope_of
from streaming.importing.change_goals import switch_connection
from streaming.importing.close import ImportResult
from tests.pipeline import Pipeline
from tests.polling import eventually

TICK, ON, OFF = "tick:", "on:", "off:"
OUTAGE_SECONDS = 30.0
Say = Callable[..., None]


@dataclass(frozen=True)
class Said:
    """`what` of a run: asks, waits, spared, goes, works, idle, wrote, leaves; of the driver: gone, where it ended badly; of a switch: switches, on, off."""

    at: float
    process: int
    what: str
    more: dict[str, Any] = field(default_factory=dict)


def say(directory: Path, connection: str, what: str, process: int = 0, **more: Any) -> None:
    """`process` 0: this one. One write, so that lines of several processes don't mix."""
    line = json.dumps(asdict(Said(time.monotonic(), process or os.getpid(), what, more)))
    with (directory / f"ticks-{connection}.jsonl").open("ab", buffering=0) as file:
        file.write(line.encode() + b"\n")


def said_by(directory: Path, connection: str) -> list[Said]:
    path = directory / f"ticks-{connection}.jsonl"
    return [Said(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def ticked(directory: Path) -> list[str]:
    """The connections that had ticks."""
    return sorted(path.stem.removeprefix("ticks-") for path in directory.glob("ticks-*.jsonl"))


def holder(directory: Path, connection: str) -> int | None:
    """The process that goes on now, if any."""
    going: int | None = None
    for one in said_by(directory, connection):
        if one.what == "goes":
            going = one.process
        elif one.what in ("leaves", "gone") and one.process == going:
            going = None
    return going


def is_off(directory: Path, connection: str) -> bool:
    """As it was switched last."""
    return [one.what for one in said_by(directory, connection) if one.what in ("on", "off")][-1:] == ["off"]


def is_done(directory: Path, connection: str) -> bool:
    """Whether a run has done all that is to be done: it looked later than any that died at work, and than the connection was switched on."""
    said = said_by(directory, connection)
    worked = {one.process: one.more["looked"] for one in said if one.what == "works"}
    gone = {one.process: one.at for one in said if one.what == "gone"}
    needed = [*(at for process, at in gone.items() if process in worked), *(one.at for one in said if one.what in ("on", "off"))]
    return any(looked >= max(needed, default=0.0) for process, looked in worked.items() if process not in gone)


def written_exports(directory: Path) -> dict[str, tuple[int, int, int]]:
    """Export → members, available and exported profiles, as its run counted them."""
    told = (one.more for connection in ticked(directory) for one in said_by(directory, connection) if one.what == "wrote")
    return {one["export"]: (one["members"], one["available"], one["exported"]) for one in told}


def run_task(pipeline: Pipeline, task: str, directory: Path) -> list[ImportResult]:
    """One process: a tick, or a switch. Raises TransientError: an outage, the next tick comes."""
    kind, _, connection = task.partition(":")

    def tell(what: str, **more: Any) -> None:
        say(directory, connection, what, **more)

    if kind + ":" == TICK:
        return _tick(pipeline, connection, tell)
    begun = time.monotonic()
    tell("switches")
    switch_connection(pipeline.store, connection, enabled=kind == "on")
    tell(kind, begun=begun)
    return []


def _tick(pipeline: Pipeline, name: str, tell: Say) -> list[ImportResult]:
    store, run_id, scope = pipeline.store, uuid.uuid4().hex, scope_of(EVERYTHING, "")
    begun = time.monotonic()
    tell("asks")
    if work_of(registry.get_connection(store, name), "", EVERYTHING).idle:
        tell("idle", looked=begun)
        return []
    if _through_outages(lambda: await_run_turn(store, name, scope, run_id, lambda _: tell("waits"))):
        tell("spared")
        return []
    with holding_turn(store, name, scope, run_id):
        tell("goes")
        try:
            begun = time.monotonic()
            connection = registry.get_connection(store, name)
            if work_of(connection, "", EVERYTHING).idle:  # switched off while the run waited
                tell("idle", looked=begun)
                return []
            tell("works", looked=begun)
            return _work_on(pipeline, connection, tell)
        finally:
            tell("leaves")


def _through_outages(wait: Callable[[], str]) -> str:
    """As the flow's step does it: the run keeps its name, and with it its place."""

    def answer() -> tuple[str] | None:
        try:
            return (wait(),)
        except TransientError:
            return None

    return eventually(answer, within=OUTAGE_SECONDS, what="Redis says whose turn it is")[0]


def _work_on(pipeline: Pipeline, connection: Connection, tell: Say) -> list[ImportResult]:
    results = pipeline.run(connection)
    for goal in chosen_exports(connection):
        settle_exports(pipeline.context, goal.domain, connection.name)
        written = write_export(pipeline.context, connection, goal)
        tell("wrote", export=written.export_id, members=written.members, available=written.available, exported=written.exported)
        close_export(pipeline.store, goal.domain, connection.name, written.export_id)
    return results
