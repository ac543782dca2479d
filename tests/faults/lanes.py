"""Schedules in lanes: a lane has a broker of its own and plays one after the other, so that a seed alone meets what it met among many."""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.faults.run import Run
from tests.faults.schedule import Schedule
from tests.faults.world import Broker, World, open_lane, open_stage, open_world


@dataclass(frozen=True)
class Played:
    """A schedule that was played. `failure` empty: no difference from the oracle. `directory`: its logs."""

    schedule: Schedule
    seconds: float
    failure: str
    notes: tuple[str, ...]
    directory: Path

    def line(self) -> str:
        verdict = f"FAILED: {self.failure.splitlines()[-1]}" if self.failure else "as the oracle"
        kinds = ", ".join(fault.kind.name.lower() for fault in self.schedule.faults)
        return f"seed {self.schedule.seed}, {self.schedule.rows} rows, {self.seconds:.1f} s: {verdict} [{kinds}]"

    def report(self) -> str:
        """What a person needs to find the reason."""
        again = f"To play it again: make faults SCHEDULES=1 SEED={self.schedule.seed}"
        return "\n".join([*self.schedule.lines(), *(f"    {note}" for note in self.notes), self.failure, f"Logs: {self.directory}", again])


def play(schedule: Schedule, world: World, broker: Broker) -> Played:
    """One schedule. Whatever goes wrong is in the result, not raised."""
    begun, failure, run = time.monotonic(), "", None
    name = f"s{schedule.seed}-{time.monotonic_ns():x}"
    try:
        with open_stage(schedule, world, broker, name) as stage:
            run = Run(stage)
            run.play()
    except Exception as error:  # noqa: BLE001 - one schedule must not end the others
        failure = "".join(traceback.format_exception(error, limit=-4, chain=False)).strip()
        failure = str(error) if isinstance(error, AssertionError) and str(error) else failure
    notes = tuple(run.notes) if run else ()
    return Played(schedule, time.monotonic() - begun, failure, notes, world.directory / name)


def play_all(
    directory: Path, schedules: Iterable[Schedule], lanes: int, tell: Callable[[Played], None], *, stop_at_first: bool = False
) -> None:
    """Play them all; `tell` hears of each in the order in which they end."""
    waiting: queue.SimpleQueue[Schedule] = queue.SimpleQueue()
    for schedule in schedules:
        waiting.put(schedule)
    telling, stopping, broken = threading.Lock(), threading.Event(), list[BaseException]()

    def lane(world: World, number: int) -> None:
        try:
            with open_lane(world, number) as broker:
                while not stopping.is_set():
                    try:
                        schedule = waiting.get_nowait()
                    except queue.Empty:
                        return
                    played = play(schedule, world, broker)
                    with telling:
                        tell(played)
                    if played.failure and stop_at_first:
                        stopping.set()
        except BaseException as error:  # noqa: BLE001 - raised by the caller's thread below
            broken.append(error)

    with ExitStack() as stack:
        world = stack.enter_context(open_world(directory))
        threads = [threading.Thread(target=lane, args=(world, number), name=f"lane-{number}") for number in range(lanes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if broken:
        raise broken[0]
