"""`python -m tests.parts [PYTEST OPTIONS]`: the whole suite in three processes at once; with options, in one.

Most tests wait for servers (rebalances, session time-outs, a browser), so that one process leaves both cores idle. Each part has servers of its own.
What each printed follows when all are done, its summary of servers included.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = ("test_cli*.py", "test_demo.py", "test_prefect*.py", "test_ui.py")
"""Of tests/integration: what a person meets."""


def parts() -> dict[str, list[str]]:
    """Part → what it runs. Every test file is in exactly one."""
    integration = ROOT / "tests" / "integration"
    met = sorted({path for pattern in COMMANDS for path in integration.glob(pattern)})
    rest = sorted(set(integration.glob("test_*.py")) - set(met))
    return {
        "rules, stores and workers": ["tests/fundamentals", "tests/unit", "tests/protocol", "tests/contract"],
        "imports and faults": [*(str(path.relative_to(ROOT)) for path in rest), "tests/faults"],
        "what a person meets": [str(path.relative_to(ROOT)) for path in met],
    }


def main(options: list[str]) -> int:
    pytest = [sys.executable, "-m", "pytest", "--durations=10"]
    if options:
        return subprocess.run([*pytest, *options], cwd=ROOT, check=False).returncode
    started, codes = time.monotonic(), dict[str, int]()
    with tempfile.TemporaryDirectory(prefix="headrace-suite-") as directory, ExitStack() as stack:
        running: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}
        for number, (name, paths) in enumerate(parts().items()):
            log = Path(directory) / f"{number}.log"
            command = [*pytest, "-o", f"cache_dir=.pytest_cache/{number}", *paths]
            running[name] = (
                stack.enter_context(
                    subprocess.Popen(command, cwd=ROOT, stdout=stack.enter_context(log.open("wb")), stderr=subprocess.STDOUT)
                ),
                log,
            )
            sys.stdout.write(f"running: {name}\n")
        sys.stdout.flush()
        for name, (process, _) in running.items():
            codes[name] = process.wait()
            sys.stdout.write(f"{time.monotonic() - started:5.0f} s: {name}: {'passed' if codes[name] == 0 else 'FAILED'}\n")
            sys.stdout.flush()
        for name, (_, log) in running.items():
            sys.stdout.write(f"\n──── {name} ────\n{log.read_text(encoding='utf-8', errors='replace')}")
    sys.stdout.write(f"\nThe suite took {time.monotonic() - started:.0f} s.\n")
    return max(codes.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
