"""The progress artifact of a run: one bar over all its files, drawn at most once a second."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.logging import get_run_logger

SECONDS_BETWEEN_UPDATES = 1.0
BAR_CELLS = 10


class ProgressBar:
    """Drawn from any thread of the run's flow or tasks. What the Prefect server does not take is not drawn: no import stops for that."""

    def __init__(self, artifact_id: UUID, clock: Callable[[], float] = time.monotonic) -> None:
        self._artifact_id = artifact_id
        self._clock = clock
        self._drawn_at = float("-inf")
        self._lost = False

    @classmethod
    def create(cls, connection: str) -> ProgressBar:
        artifact_id = create_progress_artifact(
            0.0, key=artifact_key(connection, "progress"), description=described(0.0, "looking for files")
        )
        if not isinstance(artifact_id, UUID):
            raise TypeError(f"Prefect gave {type(artifact_id).__name__} for an artifact's id")
        return cls(artifact_id)

    def draw(self, percent: float, text: str) -> None:
        """Unless the last drawing was less than a second ago."""
        if self._clock() - self._drawn_at >= SECONDS_BETWEEN_UPDATES:
            self.draw_now(percent, text)

    def draw_now(self, percent: float, text: str) -> None:
        """Whenever it was drawn last: for the first and the last state of something."""
        self._drawn_at = self._clock()
        shown = round(min(max(percent, 0.0), 100.0), 1)
        try:
            update_progress_artifact(self._artifact_id, progress=shown, description=described(shown, text))
        except Exception as error:  # noqa: BLE001 - whatever it is, the import matters more
            if not self._lost:
                get_run_logger().warning("The progress artifact can't be updated (%s); the import goes on.", type(error).__name__)
            self._lost = True


def described(percent: float, text: str) -> str:
    """Markdown. The run's page shows the description of a progress artifact, not its number."""
    full = round(BAR_CELLS * percent / 100)
    return f"{'█' * full}{'░' * (BAR_CELLS - full)} {percent:.0f} % {text}"


def artifact_key(connection: str, what: str) -> str:
    """Prefect takes small letters, digits and dashes. The connection's name keeps apart what the UI groups by key."""
    return f"{re.sub(r'[^a-z0-9]+', '-', connection.lower()).strip('-') or 'connection'}-{what}"
