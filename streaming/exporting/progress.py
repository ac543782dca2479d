"""How far an export is, in members: read by some threads, written by one."""

from __future__ import annotations

from streaming.importing.context import Progress, Report

LOOK_SECONDS = 0.5
"""Between two looks at partitions that are still read."""


class ExportProgress:
    """`read` is called from any thread, the rest from the one that writes. `expected`: members when the export began; there may be more by its end."""

    def __init__(self, report: Report, partitions: int, expected: int) -> None:
        self._report = report
        self._expected = expected
        self._read = [0] * partitions
        self._written = 0

    def read(self, partition: int, members: int) -> None:
        """So many of it so far. Where it is read again, since a commit came in between, they are not counted twice."""
        self._read[partition] = members

    def wrote(self, members: int) -> None:
        """So many in all."""
        self._written = members

    def tell(self) -> None:
        """Reading is half of it, so that a partition that takes minutes to read is seen to move; writing the other half."""
        read, written = (min(one, self._expected) for one in (sum(self._read), self._written))
        said = f"{read:,} of {self._expected:,} profiles read, {written:,} written"
        self._report(Progress("exporting", (read + written) // 2, self._expected, said))
