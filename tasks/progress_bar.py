"""The progress artifact of a run: one bar over all its files, drawn at most once a second."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.logging import get_run_logger

from streaming.importing.context import Progress, Report

SECONDS_BETWEEN_UPDATES = 1.0
BAR_CELLS = 10

PHASES: dict[str, tuple[float, float]] = {
    "waiting": (0.0, 0.0),
    "publishing": (0.0, 0.6),
    "merging": (0.6, 0.95),
    "rejects": (0.95, 1.0),
    "exporting": (0.0, 1.0),
}
"""Where each phase begins and ends in a file's part of the bar. The workers merge while the flow publishes, so the rest goes fast."""

COMPRESSED = (".gz", ".zst")
PACKED = 5
"""How much longer a compressed file is when it is read: a guess, for the bar alone."""


@dataclass(frozen=True)
class FilePart:
    """The part of a run's bar that one file has, in percent. `place`: which file of how many; `length`: bytes to read."""

    name: str
    place: str
    start: float
    width: float
    length: int


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

    def of_file(self, part: FilePart) -> Report:
        """What a step of that file's import calls with how far it is."""
        phases: set[str] = set()

        def report(progress: Progress) -> None:
            percent = part.start + part.width * done_of_file(progress, part.length)
            # The first of each phase is always drawn, so that short phases show too.
            draw = self.draw if progress.phase in phases else self.draw_now
            phases.add(progress.phase)
            draw(percent, f"{in_words(progress)} · {part.name}{part.place}")

        return report


def parts_of(files: Sequence[tuple[str, int]], percent: float = 100.0) -> list[FilePart]:
    """Of files (name, size in bytes) in the order they are imported: as wide as they are long, `percent` in all."""
    lengths = [1 + size * (PACKED if name.lower().endswith(COMPRESSED) else 1) for name, size in files]
    whole, parts, start = sum(lengths), [], 0.0
    for number, ((name, _), length) in enumerate(zip(files, lengths, strict=True), start=1):
        width = percent * length / whole
        parts.append(FilePart(name, f" ({number} of {len(files)})" if len(files) > 1 else "", start, width, length))
        start += width
    return parts


def done_of_file(progress: Progress, length: int) -> float:
    """From 0 to 1. `length`: of the text that is read, in bytes."""
    begin, end = PHASES.get(progress.phase, (0.0, 0.0))
    total = length if progress.phase == "publishing" else progress.total
    return begin + (end - begin) * min(progress.done / total if total else 0.0, 1.0)


def in_words(progress: Progress) -> str:
    match progress.phase:
        case "publishing":
            return progress.detail or "reading"
        case "merging":
            return f"{progress.done:,} of {progress.total:,} rows"
        case "exporting":
            return progress.detail or f"{progress.done:,} of {progress.total:,} profiles"
        case "rejects":
            return f"{progress.done:,} of {progress.total:,} rejects written"
        case _:
            return progress.detail or progress.phase


def described(percent: float, text: str) -> str:
    """Markdown. The run's page shows the description of a progress artifact, not its number."""
    full = round(BAR_CELLS * percent / 100)
    return f"{'█' * full}{'░' * (BAR_CELLS - full)} {percent:.0f} % {text}"


def artifact_key(connection: str, what: str) -> str:
    """Prefect takes small letters, digits and dashes. The connection's name keeps apart what the UI groups by key."""
    return f"{re.sub(r'[^a-z0-9]+', '-', connection.lower()).strip('-') or 'connection'}-{what}"
