"""`python -m benchmarks [ROWS] [--rounds N] [--only SECTION…]`: imports of 12 columns, 10 mapped, against the limit and the peer, in one run.

    one           create, then shuffled update, by one identifier; limit and peer do the same work in turn with it
    two           the same with the e-mail as a second identifier, which every row claims
    forwarded     an update linked by the e-mail: every row goes on to the partition where its profile lives
    one_worker    as `one`, by one worker instead of two
    cluster_1, cluster_2   as `one`, on a Redis Cluster of one primary and of two

`benchmarks.scale` compares 1,000,000 rows with 10,000,000.

Every section has fresh servers. `N` rounds give medians of each section's figures. Prints a table, the goals that were missed, and, as its last line,
JSON: rows/s, ratios, CPU µs a row of each process and in all, peak RSS of each, bytes a profile all in. 1,000,000 rows: 8 minutes a round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import data, job, limit, report
from benchmarks.contenders import Contenders, contenders
from benchmarks.servers import Servers, servers

Figures = dict[str, Any]
KINDS = ("create", "update")


class Bench:
    """The files, and the figures of the limit and the peer that the others are compared with."""

    def __init__(self, scratch: Path, rows: int) -> None:
        self.scratch = scratch
        self.rows = rows
        self.files = {kind: scratch / f"{kind}.csv" for kind in KINDS}
        for kind, path in self.files.items():
            data.write(rows, kind, path)

    def one(self) -> Iterator[Figures]:
        """Job, limit and peer in turn: what the machine does meanwhile disturbs all three."""
        with self.directory() as directory, contenders(Path(directory)) as others, servers(Path(directory)) as here:
            yield from self._imports(here, "one identifier", [("one", "create"), ("one", "update")], others)

    def two(self) -> Iterator[Figures]:
        with self.directory() as directory, servers(Path(directory)) as here:
            yield from self._imports(here, "second identifier", [("two", "create"), ("two", "update")])

    def forwarded(self) -> Iterator[Figures]:
        with self.directory() as directory, servers(Path(directory)) as here:
            yield from list(self._imports(here, "linked by the second identifier", [("two", "create"), ("forwarded", "update")]))[1:]

    def one_worker(self) -> Iterator[Figures]:
        with self.directory() as directory, servers(Path(directory), workers=1) as here:
            yield from self._imports(here, "one worker", [("one", "create"), ("one", "update")])

    def cluster_1(self) -> Iterator[Figures]:
        yield from self._cluster(1)

    def cluster_2(self) -> Iterator[Figures]:
        yield from self._cluster(2)

    def _cluster(self, nodes: int) -> Iterator[Figures]:
        with self.directory() as directory, servers(Path(directory), nodes=nodes) as here:
            yield from self._imports(here, f"cluster of {nodes}", [("one", "create"), ("one", "update")])

    def directory(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(dir=self.scratch, prefix="servers-")

    def _imports(
        self, here: Servers, section: str, connections: list[tuple[str, str]], others: Contenders | None = None
    ) -> Iterator[Figures]:
        empty = here.used_memory()
        job.prepare(here, *dict.fromkeys(name for name, _ in connections))
        for name, kind in connections:
            figures: Figures = {"section": section, "kind": kind}
            if others is not None:
                figures["limit"] = others.run_limit(self.files[kind])
                figures["peer"] = others.run_peer(self.files[kind], self.rows)
            figures |= job.run(here, name, self.files[kind], self.rows)
            yield {**figures, "bytes_per_profile": round((here.used_memory() - empty) / self.rows)}


SECTIONS: dict[str, Callable[[Bench], Iterator[Figures]]] = {
    "one": Bench.one,
    "two": Bench.two,
    "forwarded": Bench.forwarded,
    "one_worker": Bench.one_worker,
    "cluster_1": Bench.cluster_1,
    "cluster_2": Bench.cluster_2,
}


def median(found: list[Any]) -> Any:
    """Of figures that may be nested; texts are the same in all."""
    first = found[0]
    if isinstance(first, dict):
        return {name: median([one[name] for one in found]) for name in first}
    return first if isinstance(first, str) else round(statistics.median(found), 2)


def with_ratios(sections: list[Figures]) -> list[Figures]:
    """To the limit and the peer of the same kind in the same run."""
    compared = {one["kind"]: (one["limit"]["rows_per_s"], one["peer"]["rows_per_s"]) for one in sections if "limit" in one}
    for one in sections:
        limit_speed, peer_speed = compared[one["kind"]]
        one |= {"of_limit": round(one["rows_per_s"] / limit_speed, 2), "of_peer": round(one["rows_per_s"] / peer_speed, 2)}
    return sections


def measure(scratch: Path, rows: int, rounds: int, names: list[str]) -> list[Figures]:
    bench = Bench(scratch, rows)
    found: dict[tuple[str, str], list[Figures]] = {}
    for number in range(rounds):
        for name in names:
            for figures in SECTIONS[name](bench):
                found.setdefault((figures["section"], figures["kind"]), []).append(figures)
                sys.stderr.write(f"round {number + 1}: {json.dumps(figures)}\n")
    return with_ratios([median(all_rounds) for all_rounds in found.values()])


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("rows", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--only", nargs="+", choices=[*SECTIONS], default=[*SECTIONS], help="`one` is always run: the others are compared with it"
    )
    given = parser.parse_args(arguments)
    limit.program()
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as scratch:
        found = measure(Path(scratch), given.rows, given.rounds, list(dict.fromkeys(["one", *given.only])))
    for line in (report.table(found), *(f"Missed: {one}." for one in report.missed(found))):
        sys.stdout.write(line + "\n")
    peers = {one["kind"]: {name: one[name] for name in ("limit", "peer")} for one in found if "limit" in one}
    sys.stdout.write(
        "".join(f"{kind}: limit {one['limit']['rows_per_s']:,}, peer {one['peer']['rows_per_s']:,} rows/s\n" for kind, one in peers.items())
    )
    sys.stdout.write(json.dumps({"rows": given.rows, "rounds": given.rounds, "cores": os.cpu_count(), "sections": found}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
