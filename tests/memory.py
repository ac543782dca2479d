"""How much memory a piece of work takes at most. Linux; elsewhere nothing is measured."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_RESET = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


@dataclass
class Peak:
    """`grown`: bytes of this process's resident memory at the peak, above what it had before."""

    grown: int = 0


@contextmanager
def peak_memory() -> Iterator[Peak]:
    peak = Peak()
    gc.collect()
    try:
        _RESET.write_text("5")  # the peak begins anew, at what is resident now
    except OSError:
        yield peak
        return
    before = _kilobytes("VmRSS")
    yield peak
    peak.grown = (_kilobytes("VmHWM") - before) * 1024


def _kilobytes(name: str) -> int:
    [line] = [line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1])
