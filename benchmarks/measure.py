"""What a process has cost so far: CPU seconds and peak memory, from /proc."""

from __future__ import annotations

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, of its threads and of its children that have ended (Redis rewrites its log in one)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def peak_rss_mb(pid: int | str = "self") -> int:
    """Not ru_maxrss: a child inherits its parent's."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1024)


class Costs:
    """The processes of a run (name → process id), from now on."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self._before = {name: cpu_seconds(pid) for name, pid in pids.items()}

    def cpu_us_per_row(self, rows: int) -> dict[str, float]:
        return {name: round((cpu_seconds(pid) - self._before[name]) / rows * 1e6, 2) for name, pid in self._pids.items()}

    def peaks_mb(self) -> dict[str, int]:
        return {name: peak_rss_mb(pid) for name, pid in self._pids.items()}
