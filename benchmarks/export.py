"""`python -m benchmarks.export [PROFILES]`: an export of 10 columns against redis-py's HMGET of hashes, and its MGET of the same records, dropped.

Real servers, all of them started here. The profiles are imported; the same rows lie as hashes in a Redis of their own. Each contender runs in a process of
its own, its connections made before the clock starts: the export writes its file to S3, the others keep nothing of what they read. `records` is what the
export reads by, alone: no goal, it gets harder to follow the better it is. Five times in turn, once no server rewrites its log: a ratio is of neighbours, as
a machine that others share is not equally fast all the while, and the median of five is held against its goal. Then twice as many profiles, for the
export's memory, which is held against that for a fifth of them. Prints what was measured and, as its last line, JSON; exits 1 where a goal is missed.
1,000,000 profiles: 4 minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

import redis

from benchmarks import data, job, limit
from benchmarks.measure import peak_rss_mb
from benchmarks.servers import Servers, servers, start_node
from headrace.address import ADDRESS_BYTES, unpacked_addresses
from headrace.connections import Connection
from headrace.goal_choice import chosen_exports
from headrace.segments import Segment
from headrace.yaml_source import Configuration
from object_store.store import ObjectStore
from profile_store import keys, registry
from profile_store.members import read_in_chunks
from profile_store.segment_registry import find_segment
from streaming.exporting.close_export import close_export
from streaming.exporting.write_export import write_export
from streaming.importing.apply import apply_configuration, plan_configuration

NAME, SEGMENT = "export", "everyone"
AT_A_TIME = 1_000
ROUNDS = 5
OF_HASHES, OF_MGET, MEMORY = 6.0, 0.5, 1.10
"""At least so many times as fast; at most so many times the memory."""


def configuration() -> Configuration:
    """The domain of the benchmark of imports, everyone of it as a segment, and a goal that exports ten columns."""
    dimension = {"property": "customer_id", "comparison": "begins_with", "values": ["C"]}
    segment = {"version": 1, "kind": "segment", "domain": job.DOMAIN, "name": SEGMENT, "groups": [{"dimensions": [dimension]}]}
    goal = {
        "kind": "export_profiles",
        "name": NAME,
        "domain": job.DOMAIN,
        "segment": SEGMENT,
        "destination": {"bucket": job.BUCKET, "directory": "out/", "file_name": "all.csv"},
        "format": {"separator": ";", "decimal": ",", "multi_value": "|", "date_format": "%d/%m/%Y", "datetime_format": "%d/%m/%Y %H:%M:%S"},
        "columns": [{"kind": "property", "property": name, "header": name} for name in limit.FIELDS],
    }
    connection = Connection.model_validate({"version": 1, "kind": "connection", "name": NAME, "goals": [goal]})
    return Configuration({}, {NAME: connection}, {(job.DOMAIN, SEGMENT): Segment.model_validate(segment)})


def export(here: Servers) -> Callable[[], int]:
    context, objects = here.context(), ObjectStore(here.access())
    context = replace(context, objects_of=lambda _: objects)
    connection = registry.get_connection(context.store, NAME)
    [goal] = chosen_exports(connection)

    def run() -> int:
        written = write_export(context, connection, goal)
        close_export(context.store, goal.domain, NAME, written.export_id)
        return written.exported

    return run


def records(here: Servers) -> Callable[[], int]:
    store = here.context().store
    domain, segment = registry.get_domain(store, job.DOMAIN), find_segment(store, job.DOMAIN, SEGMENT)

    def run() -> int:
        chunks = (read_in_chunks(store, domain.name, partition, [segment.id]).chunks for partition in range(domain.partitions))
        return sum(len(members.records) for some in chunks for members in some)

    return run


def mget(here: Servers) -> Callable[[], int]:
    """As redis-py's users do it."""
    store: Any = redis.Redis.from_url(here.redis_url)
    stored = registry.get_domain(here.context().store, job.DOMAIN)

    def run() -> int:
        count = 0
        for partition in range(stored.partitions):
            ids, prefix, first = keys.ids(stored.name, partition), keys.address_prefix(stored.name, partition), 0
            while packed := store.getrange(ids, first * ADDRESS_BYTES, (first + AT_A_TIME) * ADDRESS_BYTES - 1):
                addresses = unpacked_addresses(packed)
                count += len(store.mget([prefix + address for address in addresses]))
                first += len(addresses)
        return count

    return run


def hashes(here: Servers) -> Callable[[], int]:
    store: Any = redis.Redis.from_url(here.nodes[-1], decode_responses=True)
    count = int(store.dbsize())

    def run() -> int:
        for at in range(0, count, AT_A_TIME):
            pipe = store.pipeline(transaction=False)
            for number in range(at, min(at + AT_A_TIME, count)):
                pipe.hmget(f"p:C{number:09d}", limit.FIELDS)
            pipe.execute()
        return count

    return run


CONTENDERS = {"export": export, "records": records, "mget": mget, "hashes": hashes}
"""Each makes its connections, and gives what is done while the clock runs."""


def measure(here: Servers, contender: str, profiles: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.export", "--one", contender, json.dumps(asdict(here))]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    if found.pop("profiles") != profiles:
        raise SystemExit(f"{contender} did not read {profiles} profiles: {found}")
    return {"contender": contender, "profiles": profiles, "per_s": round(profiles / found["seconds"]), **found}


def one(contender: str, here: Servers) -> dict[str, Any]:
    """In this process, whose peak memory is told."""
    run = CONTENDERS[contender](here)
    started = time.perf_counter()
    profiles = run()
    return {"profiles": profiles, "seconds": round(time.perf_counter() - started, 2), "peak_rss_mb": peak_rss_mb()}


def main(profiles: int) -> int:
    small, large = profiles // 5, profiles * 2
    limit.program()
    with tempfile.TemporaryDirectory(prefix="headrace-export-") as directory, ExitStack() as stack:
        place = Path(directory)
        here = stack.enter_context(servers(place))
        peer = start_node(stack, place, 9, in_cluster=False)
        here.nodes.append(peer.url)
        job.prepare(here, "one")
        context = here.context()
        apply_configuration(context, plan_configuration(context.store, configuration()), "")
        figures = []
        for count in (small, profiles, large):
            source = place / f"{count}.csv"
            data.write(count, "create", source)
            job.run(here, "one", source, count)
            if count != profiles:
                figures.append(measure(here, "export", count))
            else:
                limit.write_commands(source, place / "commands")
                limit.run(place / "commands", count, peer.url)
                here.settle()
                figures += [measure(here, contender, count) for _ in range(ROUNDS) for contender in CONTENDERS]
    for found in figures:
        sys.stdout.write(
            f"{found['contender']:>8} {found['profiles']:>10,} profiles {found['per_s']:>10,}/s {found['peak_rss_mb']:>5} MB\n"
        )
    turns = {
        name: [found["per_s"] for found in figures if (found["contender"], found["profiles"]) == (name, profiles)] for name in CONTENDERS
    }

    def of(peer: str) -> float:
        return round(median(export / other for export, other in zip(turns["export"], turns[peer], strict=True)), 2)

    memory = {found["profiles"]: found["peak_rss_mb"] for found in figures if found["contender"] == "export"}
    ratios = {
        "of_hashes": of("hashes"),
        "of_mget": of("mget"),
        "of_records": of("records"),
        "memory": round(memory[large] / memory[small], 2),
    }
    missed = [
        *([f"{ratios['of_hashes']} × HMGET of hashes, at least {OF_HASHES} wanted"] if ratios["of_hashes"] < OF_HASHES else []),
        *([f"{ratios['of_mget']} × MGET of the records, at least {OF_MGET} wanted"] if ratios["of_mget"] < OF_MGET else []),
        *([f"{ratios['memory']} × the memory of a tenth, at most {MEMORY} wanted"] if ratios["memory"] > MEMORY else []),
    ]
    sys.stdout.write("".join(f"Missed: {one}.\n" for one in missed))
    sys.stdout.write(json.dumps({"profiles": profiles, "cores": os.cpu_count(), **ratios, "figures": figures}) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        sys.stdout.write(json.dumps(one(sys.argv[2], Servers(**json.loads(sys.argv[3])))))
        sys.exit(0)
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 1_000_000))
