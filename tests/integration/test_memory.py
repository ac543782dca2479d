"""Memory does not grow with the file (SPEC I12): a file ten times as large takes the splitting process no more."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.spec("I12")
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc, which this system does not have")
def test_the_splitter_takes_no_more_memory_for_a_larger_file() -> None:
    run = subprocess.run([sys.executable, "-m", "benchmarks.memory", "30", "180"], cwd=ROOT, capture_output=True, text=True, check=False)
    small, large = (json.loads(line) for line in run.stdout.splitlines())
    assert run.returncode == 0, (small, large, run.stderr[-2000:])
    assert large["state"] == small["state"] == "COMPLETE"
    assert large["rows"] >= 5 * small["rows"]
    assert large["peak_rss_mb"] < 400
