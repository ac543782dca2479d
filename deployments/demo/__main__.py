"""`python -m deployments.demo`: exit code 0 when all of it went as it must; 1 otherwise; 130 after Ctrl-C. Leaves nothing behind."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from deployments.demo.stage import Stage
from deployments.demo.story import play
from deployments.embedded.stack import PROJECT, EmbeddedStack, StackOptions, bootstrap_in_a_process
from deployments.stop_signals import StoppedError, stopped_by_signals
from headrace.errors import HeadraceError

INTERRUPTED = 130
PIPE_WIDTH = 120


def main() -> int:
    console = Console(highlight=False, emoji=False, markup=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    root = PROJECT / ".headrace" / "demo"
    root.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="run-", dir=root))
    began = time.monotonic()
    with stopped_by_signals():
        code = _play(console, directory)
    if code == 1:
        console.print(Text(f"The logs of the servers are in {directory / 'logs'}", style="dim"), soft_wrap=True)
        return code
    shutil.rmtree(directory, ignore_errors=True)
    console.print(Text(f"Everything is stopped and removed. It took {time.monotonic() - began:.0f} seconds.", style="dim"))
    return code


def _play(console: Console, directory: Path) -> int:
    """Whatever happens, the stack is stopped when this returns."""
    console.print(Text("Headrace: CSV files in S3 become live customer profiles.", style="bold"))
    status = console.status("")
    stack = EmbeddedStack(
        StackOptions(directory=directory, bootstrap=bootstrap_in_a_process, report=lambda line: status.update(f"{line} …"))
    )
    try:
        with status:
            status.update("starting")
            stack.start()
        play(Stage(console, stack))
    except StoppedError:
        console.print("\nStopping …")
        return INTERRUPTED
    except HeadraceError as error:
        console.print(Text(f"\n{error}", style="red"), soft_wrap=True)
        return 1
    finally:
        stack.stop()
    console.print()
    console.print(
        Text("Next: `headrace up` keeps these servers running, with the Prefect UI to start imports from. README.md goes on from here."),
        soft_wrap=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
