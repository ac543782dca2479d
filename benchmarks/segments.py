"""`python -m benchmarks.segments [ROWS]`: what ten live segments cost an import, how long a new one takes to build, and a count. 1,000,000 rows: 5 minutes.

The same create and update, on fresh servers, without segments and with ten, each first in turn: a machine that others share is not equally fast all the
while, so medians are compared.
Then three predicates are built over all profiles, against a bare full read of the same records (`ids` and MGET in the same chunks and threads, dropped),
in turn, and a segment is counted. Prints a table and, as its last line, JSON; exits 1 where a goal is missed: ten segments over 15 % more CPU a row,
building over 1.5 × the read, a count over 5 ms.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import data, job
from benchmarks.servers import Servers, servers
from headrace.segments import Segment
from headrace.yaml_source import Configuration
from profile_store import keys
from profile_store.membership import count_members
from profile_store.segment_registry import find_segment
from profile_store.store import Store
from streaming.importing.apply import apply_configuration, plan_configuration
from streaming.segments.materialize import THREADS, materialize
from streaming.segments.reading import each_chunk

KINDS = ("create", "update")
MOST_COST, MOST_BUILD, MOST_COUNT_MS = 1.15, 1.5, 5.0
ROUNDS = 3

TEN: dict[str, list[tuple[str, str, list[str]]]] = {
    "big-spenders": [("amount", "greater_than_or_equal", ["500"]), ("last_purchase", "after", ["2020-01-01"])],
    "small-spenders": [("amount", "less_than", ["50"])],
    "portuguese": [("country", "inclusive", ["Portugal", "PT"])],
    "elsewhere": [("country", "exclusive", ["Portugal", "PT"]), ("city", "begins_with", ["L", "P"])],
    "born-in-the-seventies": [("birth_date", "between", ["1970-01-01", "1979-12-31"])],
    "at-example": [("email", "ends_with", ["@example.com"])],
    "gold": [("tier", "inclusive", ["gold"]), ("points", "greater_than", ["1000"])],
    "likes-sports": [("interests", "list_contains", ["sports", "music"])],
    "called-maria": [("name", "contains", ["Maria"])],
    "not-lately": [("last_purchase", "not_between", ["2023-01-01", "2024-12-31"])],
}
THREE = [
    ("amount", "greater_than_or_equal", ["500"]),
    ("country", "inclusive", ["Portugal", "PT"]),
    ("last_purchase", "after", ["2020-01-01"]),
]


def segment(name: str, compared: list[tuple[str, str, list[str]]]) -> Segment:
    dimensions = [{"property": one, "comparison": how, "values": values} for one, how, values in compared]
    groups = [{"dimensions": dimensions}]
    return Segment.model_validate({"version": 1, "kind": "segment", "domain": job.DOMAIN, "name": name, "groups": groups})


def define(here: Servers, segments: list[Segment]) -> None:
    context = here.context()
    configuration = Configuration({}, {}, {(job.DOMAIN, one.name): one for one in segments})
    apply_configuration(context, plan_configuration(context.store, configuration), "")


def imports(
    scratch: Path, sources: dict[str, Path], rows: int, segments: list[Segment], after: Callable[[Servers], None]
) -> dict[str, Any]:
    """Create and update on fresh servers; `after`: what else is to be measured there."""
    with tempfile.TemporaryDirectory(dir=scratch) as directory, servers(Path(directory)) as here:
        job.prepare(here, "one")
        if segments:
            define(here, segments)
        found = {kind: job.run(here, "one", source, rows) for kind, source in sources.items()}
        after(here)
    return found


def build(here: Servers, rows: int) -> dict[str, Any]:
    """Medians of seconds, and of milliseconds of a count."""
    store = here.context().store
    here.settle()
    reads, builds, counts = [], [], []
    for number in range(ROUNDS):
        reads.append(timed(lambda: read_all(store)))
        name = f"three-{number}"
        define(here, [segment(name, THREE)])
        builds.append(timed(lambda: materialize(store, job.DOMAIN)))
        found = find_segment(store, job.DOMAIN, name)
        for _ in range(20):
            counts.append(1_000 * timed(lambda found=found: count_members(store, job.DOMAIN, job.PARTITIONS, found.id)))  # type: ignore[misc]
    read, built = statistics.median(reads), statistics.median(builds)
    return {
        "profiles": rows,
        "read_s": round(read, 3),
        "build_s": round(built, 3),
        "ratio": round(built / read, 2),
        "count_ms": round(statistics.median(counts), 2),
    }


def read_all(store: Store) -> None:
    def read(partition: int) -> None:
        with store.on_node_of(keys.meta(job.DOMAIN, partition), "reading") as node:
            for _ in each_chunk(node, job.DOMAIN, partition):
                pass

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(read, range(job.PARTITIONS)))


def timed(do: Callable[[], object]) -> float:
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def main(rows: int) -> int:
    built: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="headrace-segments-") as directory:
        scratch = Path(directory)
        sources = {kind: scratch / f"{kind}.csv" for kind in KINDS}
        for kind, source in sources.items():
            data.write(rows, kind, source)
        ten = [segment(name, compared) for name, compared in TEN.items()]
        plain, kept = [], []
        for has_ten in (False, True, True, False, False, True):
            last = len(plain) + 1 == ROUNDS and not has_ten
            found = imports(
                scratch, sources, rows, ten if has_ten else [], lambda here, last=last: built.update(build(here, rows)) if last else None
            )  # type: ignore[misc]
            (kept if has_ten else plain).append(found)
    costs = {}
    for kind in KINDS:
        before, after = (statistics.median(cost(one[kind]) for one in runs) for runs in (plain, kept))
        costs[kind] = round(after / before, 3)
        each = ", ".join(f"{cost(without[kind]):.2f} and {cost(having[kind]):.2f}" for without, having in zip(plain, kept, strict=True))
        sys.stdout.write(f"{kind}: {before:.2f} µs of CPU a row, with ten segments × {costs[kind]:.2f}; without and with: {each}\n")
    sys.stdout.write(
        f"three predicates over {rows:,} profiles: {built['build_s']} s, {built['ratio']} × a bare read; a count {built['count_ms']} ms\n"
    )
    sys.stdout.write(json.dumps({"rows": rows, "costs": costs, "build": built, "plain": plain, "segments": kept}) + "\n")
    well = max(costs.values()) <= MOST_COST and built["ratio"] <= MOST_BUILD and built["count_ms"] <= MOST_COUNT_MS
    return 0 if well else 1


def cost(run: dict[str, Any]) -> float:
    """µs of CPU a row, of all that is ours to run."""
    cpu = run["cpu_us_per_row"]
    return float(cpu["all"] - cpu["s3"])


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
