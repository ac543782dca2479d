"""The driver's side of ticks: several runs of a connection started at nearly once, what happens to them, and the next tick until all is done."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.faults.rounds import OF_EXPORTS, points
from tests.faults.schedule import Mishap, Ticks
from tests.faults.shop_exports import OUT
from tests.faults.ticks import OFF, ON, TICK, holder, is_done, is_off

if TYPE_CHECKING:
    from tests.faults.run import Run

GOING_SECONDS = 10.0
"""For so long at most a mishap waits until one goes on."""
NEXT_SECONDS = 0.3
KILL_SECONDS, KILL_EXPORT_SECONDS = 1.5, 0.3
"""The latest that one is killed after its turn has come; an export is soon over."""
AT_A_FAILPOINT = 0.5
"""Share of the exports that are killed, which are so at a step; the others some time after their begin."""

Step = list[tuple[str, str]]
"""Tasks that start at once, and the failpoint of each."""


@dataclass
class Ticking:
    """`steps`: connection → what is still to come, where its ticks are under way."""

    run: Run
    steps: dict[str, list[Step]] = field(default_factory=dict)
    _waiting: set[str] = field(default_factory=set)

    def start(self, connection: str, ticks: Ticks) -> None:
        """Now, or behind what the connection's ticks are doing."""
        rnd, first, killed = random.Random(ticks.size), "", ticks.mishap is Mishap.KILLED
        if killed and connection == OUT and rnd.random() < AT_A_FAILPOINT:
            first, killed = rnd.choice(points(OF_EXPORTS)), False
        steps = self.steps.setdefault(connection, [])
        if ticks.mishap is Mishap.OFF_BEFORE:
            steps.append([(f"{OFF}{connection}", "")])
        tick = f"{TICK}{connection}"
        steps.append([(tick, first), *[(tick, "")] * (ticks.count - 1)])
        self.go_on()
        if ticks.mishap is Mishap.SWITCHED_OFF:
            self._when_one_goes(connection, lambda: self.run.start_flow(f"{OFF}{connection}"))
        elif killed:
            seconds = ticks.size * (KILL_EXPORT_SECONDS if connection == OUT else KILL_SECONDS)
            self._when_one_goes(connection, lambda: self.run.later(seconds, lambda: self._kill_holder(connection)))

    def _when_one_goes(self, connection: str, do: Callable[[], None]) -> None:
        self.run.when(lambda: holder(self.run.stage.directory, connection) is not None, do, within=GOING_SECONDS)

    def _kill_holder(self, connection: str) -> None:
        going = holder(self.run.stage.directory, connection)
        for flow in self.run.flows:
            if flow.process.pid == going and flow.process.running:
                flow.process.kill()
                self.run.note(f"the run of {connection} that went on is killed")

    def go_on(self) -> None:
        """The next step of each connection whose last one is over; behind them one more tick, until all is done."""
        for connection in list(self.steps):
            if connection in self._waiting or any(flow.connection == connection for flow in self.run.flows):
                continue
            if self.steps[connection]:
                for task, failpoint in self.steps[connection].pop(0):
                    self.run.start_flow(task, failpoint)
            elif is_done(self.run.stage.directory, connection):
                del self.steps[connection]
            else:
                self._waiting.add(connection)
                self.run.later(NEXT_SECONDS, lambda connection=connection: self._next(connection))  # type: ignore[misc]

    def _next(self, connection: str) -> None:
        self._waiting.discard(connection)
        self.run.start_flow(f"{ON if is_off(self.run.stage.directory, connection) else TICK}{connection}")
