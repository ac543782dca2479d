"""`python -m tests.faults [--schedules N] [--seed S] [--lanes L] [--keep]`: schedules S, S+1, …; `--schedules 1` plays one again."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.faults.lanes import Played, play_all
from tests.faults.schedule import draw

MOST_LANES = 2


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description="Fault schedules against real processes (docs/concepts.md)."
    )
    parser.add_argument("--schedules", type=int, default=50, help="how many; 50")
    parser.add_argument("--seed", type=int, default=None, help="of the first one, the next ones follow; any when absent")
    parser.add_argument("--lanes", type=int, default=MOST_LANES, help="schedules at once, each with a Redis and a broker of its own; 2")
    parser.add_argument("--keep", action="store_true", help="keep the logs of the schedules that went well, and say what happened in them")
    parser.add_argument("--calm", action="store_true", help="without the faults")
    parser.add_argument("--stop-at-first", action="store_true", help="play no more once one has failed")
    options = parser.parse_args(arguments)
    first = random.SystemRandom().randrange(1_000_000) * 1_000 if options.seed is None else options.seed
    seeds = list(range(first, first + options.schedules))
    directory = Path(tempfile.mkdtemp(prefix="headrace-faults-"))
    failed: list[Played] = []

    def tell(played: Played) -> None:
        sys.stdout.write(played.line() + "\n")
        if played.failure:
            failed.append(played)
            sys.stdout.write(played.report() + "\n")
        elif options.keep:
            sys.stdout.write(played.report() + "\n")
        else:
            shutil.rmtree(played.directory, ignore_errors=True)
        sys.stdout.flush()

    schedules = [replace(draw(seed), faults=(), ticks=()) if options.calm else draw(seed) for seed in seeds]
    play_all(directory, schedules, min(options.lanes, len(seeds)), tell, stop_at_first=options.stop_at_first)
    if failed:
        sys.stdout.write("\n".join(["Once more, where only the end of this is kept:", *(one.line() for one in failed), ""]))
        sys.stdout.write(f"{len(failed)} of {len(seeds)} schedules failed: {[one.schedule.seed for one in failed]}; logs in {directory}\n")
        return 1
    sys.stdout.write(f"{len(seeds)} schedules from seed {first}: no difference from the oracle.\n")
    if not options.keep:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
