"""`python -m benchmarks.scale [SMALL LARGE]`: does a row cost the same in a large import? 1,000,000 rows against 10,000,000; 20 minutes, 16 GB of memory.

Each is created and updated on fresh servers: the small one, the large one, the small one again, because a machine that others share is not equally fast
all the while; the large one is held against the mean of both. Beside each, `redis-cli --pipe` writes the same rows as hashes: what Redis itself takes more
for a row among ten times as many is in that too. Prints a table and, as its last line, JSON; exits 1 where the large import takes over 15 % more CPU a row.

Two things would make a row dearer in a large import without saying anything about it. The embedded S3 reads an object into memory before it sends it; it
is no part of Headrace, and left out. And Redis rewrites its log whenever that has doubled, which the embedded one begins to do at 512 MB: never in the
small import. Here it begins at 64 MB (Redis' own default), so that both pay their share, and the share is in the figures.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import redis

from benchmarks import data, job
from benchmarks.contenders import contenders
from benchmarks.servers import servers

MOST = 1.15
KINDS = ("create", "update")


def measure(rows: int) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="headrace-scale-") as directory:
        scratch = Path(directory)
        sources = {kind: scratch / f"{kind}.csv" for kind in KINDS}
        for kind, source in sources.items():
            data.write(rows, kind, source)
        with servers(scratch) as here:
            for node in here.nodes:
                rewrite_early(node)
            job.prepare(here, "one")
            for kind, source in sources.items():
                found[kind] = job.run(here, "one", source, rows)
        with contenders(scratch) as beside:
            rewrite_early(beside.limit.url)
            for kind, source in sources.items():
                found[kind]["limit"] = beside.run_limit(source)
                sys.stderr.write(f"{rows:,} {kind}: {json.dumps(found[kind])}\n")
    return found


def rewrite_early(redis_url: str) -> None:
    client: Any = redis.Redis.from_url(redis_url)
    client.config_set("auto-aof-rewrite-min-size", "64mb")
    client.close()


def costs(run: dict[str, Any]) -> dict[str, float]:
    """µs of CPU a row: of all that is ours to run, of Redis alone, of what is not Redis, and of Redis under its bulk load."""
    cpu = run["cpu_us_per_row"]
    everything = cpu["all"] - cpu["s3"]
    return {"all": everything, "Redis": cpu["redis"], "the rest": everything - cpu["redis"], "limit": run["limit"]["redis_cpu_us_per_row"]}


def main(small: int, large: int) -> int:
    first, many, again = measure(small), measure(large), measure(small)
    grown: dict[str, dict[str, float]] = {}
    sys.stdout.write(f"µs of CPU a row{'':9}{small:>12,}{small:>12,}{large:>12,}\n")
    for kind in KINDS:
        before, after = [costs(one[kind]) for one in (first, again)], costs(many[kind])
        grown[kind] = {name: round(cost / mean(one[name] for one in before), 3) for name, cost in after.items()}
        for name, cost in after.items():
            told = "".join(f"{one:12.2f}" for one in (*(one[name] for one in before), cost))
            sys.stdout.write(f"{kind}, {name:<16}{told}  × {grown[kind][name]:.2f}\n")
    sys.stdout.write(json.dumps({"rows": [small, large, small], "grown": grown, "runs": [first, many, again]}) + "\n")
    return 0 if max(one["all"] for one in grown.values()) <= MOST else 1


if __name__ == "__main__":
    given = [int(one) for one in sys.argv[1:3]]
    sys.exit(main(*(given if len(given) == 2 else (1_000_000, 10_000_000))))
