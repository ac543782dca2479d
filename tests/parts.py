"""`python -m tests.parts [PYTEST OPTIONS]`: the whole suite in parts, five at once; with options in one process.

Most tests wait for servers (rebalances, session time-outs, a browser), so that one process leaves both cores idle; more than five would wait for each
other. Each part is a process with servers of its own. What each printed follows when all are done, its summary of servers included, what failed last.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AT_ONCE = 5
PYTEST = [sys.executable, "-m", "pytest", "--durations=10"]
GROUPS = {
    "faults": ("faults",),
    "workers": ("contract/test_worker_*.py", "contract/test_recover*.py"),
    "what a person meets": ("integration/test_demo.py", "integration/test_howtos.py"),
    "flows that a worker starts": (
        "integration/test_ui.py",
        "integration/test_prefect_schedule.py",
        "integration/test_prefect_worker.py",
        "integration/test_safe_connections.py",
    ),
    "flows": ("integration/test_prefect*.py", "integration/test_secrets.py"),
    "commands": ("integration/test_cli*.py",),
    "stores": ("contract/test_*.py",),
    "the API": ("integration/test_api*.py", "integration/test_upload*.py", "integration/test_expiry.py", "integration/test_guide.py"),
    "exports and erasure": (
        "integration/test_exports.py",
        "integration/test_killed_exports.py",
        "integration/test_segments.py",
        "integration/test_eras*.py",
        "integration/test_replay.py",
    ),
    "odd inputs": (
        "integration/test_bad_*.py",
        "integration/test_big_input.py",
        "integration/test_memory.py",
        "integration/test_statements*.py",
    ),
    "imports": ("integration/test_*.py",),
    "units": ("unit",),
    "rules": ("fundamentals", "protocol"),
}
"""Part → which of tests/, in the order in which parts start: what takes long, or waits much, first, what only computes last. A file belongs to the
first part that has it.

What shares a part shares its servers, and those take long to start."""


def commands() -> dict[str, list[str]]:
    """Part → its command, those that take longest first."""
    return {name: [*PYTEST, "-o", f"cache_dir=.pytest_cache/{name.replace(' ', '-')}", *paths] for name, paths in parts().items()}


def parts() -> dict[str, list[str]]:
    """Part → the tests it runs. Every test file is in exactly one."""
    groups: dict[str, list[str]] = {}
    taken: set[Path] = set()
    for name, patterns in GROUPS.items():
        found = {path for pattern in patterns for path in (ROOT / "tests").glob(pattern)} - taken
        taken |= found
        groups[name] = sorted(str(path.relative_to(ROOT)) for path in found)
    return groups


def main(options: list[str]) -> int:
    if options:
        return subprocess.run([*PYTEST, *options], cwd=ROOT, check=False).returncode
    started, codes, found = time.monotonic(), dict[str, int](), commands()
    with tempfile.TemporaryDirectory(prefix="headrace-suite-") as directory, ThreadPoolExecutor(AT_ONCE) as pool:

        def run(name: str) -> int:
            _say(f"running: {name}")
            with _log(directory, name).open("wb") as log:
                return subprocess.run(found[name], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, check=False).returncode

        running = {pool.submit(run, name): name for name in found}
        for one in as_completed(running):
            codes[running[one]] = one.result()
            _say(f"{time.monotonic() - started:5.0f} s: {running[one]}: {'passed' if one.result() == 0 else 'FAILED'}")
        for name in sorted(found, key=lambda name: codes[name] != 0):
            _say(f"\n──── {name} ────\n{_log(directory, name).read_text(encoding='utf-8', errors='replace')}")
    _say(f"The suite took {time.monotonic() - started:.0f} s.")
    return max(codes.values())


def _log(directory: str, name: str) -> Path:
    return Path(directory) / f"{name.replace(' ', '-')}.log"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
