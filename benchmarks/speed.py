"""`python -m benchmarks.speed [ROWS]`: an import of 12 columns, 10 mapped, against the limit and the peer, in one run on one Redis.

The file is created first, then updated shuffled; limit and peer do the same work before it, with the same server settings. Prints a table and, as its
last line, JSON: rows/s, ratios, CPU µs a row of each process, peak RSS, bytes a profile.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import redis

from benchmarks import data, limit, peer
from benchmarks.servers import Servers, peak_rss_mb, servers
from headrace.connections import Connection
from headrace.domains import Domain
from headrace.yaml_source import Configuration
from object_store.access import connect
from streaming.importing.apply import apply_configuration, plan_configuration
from streaming.importing.await_turn import finish
from streaming.importing.register import register_import
from streaming.importing.scan import scan_goal

BUCKET, DOMAIN = "speed", "speed"
TYPES = {"birth_date": "date", "last_purchase": "datetime", "amount": "number", "points": "number", "email": "text"}
TICKS = os.sysconf("SC_CLK_TCK")


def configuration() -> Configuration:
    properties: list[dict[str, Any]] = [{"name": "customer_id", "identifier": True}]
    properties += [{"name": name, "type": TYPES.get(name, "text"), "multiple": name == "interests"} for name in peer.FIELDS]
    domain = {"version": 1, "kind": "domain", "name": DOMAIN, "properties": properties}
    goal = {
        "kind": "import_profiles",
        "name": "Customers",
        "domain": DOMAIN,
        "source": {"bucket": BUCKET, "files": "*.csv"},
        "format": {"separator": ";", "decimal": ",", "multi_value": "|", "date_format": "%d/%m/%Y", "datetime_format": "%d/%m/%Y %H:%M:%S"},
        "link": [{"column": "customer_id", "property": "customer_id"}],
        "allow_creation": True,
        "mappings": [{"column": name, "property": name, "rule": rule} for name, rule in peer.RULES.items()],
    }
    connection = {"version": 1, "kind": "connection", "name": "speed", "goals": [goal]}
    return Configuration({DOMAIN: Domain.model_validate(domain)}, {"speed": Connection.model_validate(connection)})


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, that of its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def job(here: Servers, source: Path, rows: int) -> dict[str, Any]:
    """One import, from its registration to its end."""
    context = here.context()
    connection = configuration().connections["speed"]
    goal = connection.import_goals[0]
    connect(here.access(), 1).upload_file(str(source), BUCKET, source.name)
    [file] = [one for one in scan_goal(context, connection, goal) if one.wanted]
    pids = {**here.pids, "flow": os.getpid()}
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    started = time.perf_counter()
    result = finish(context, register_import(context, connection, goal, file.version, source.name), source.name)
    seconds = time.perf_counter() - started
    cpu = {name: round((cpu_seconds(pid) - before[name]) / rows * 1e6, 2) for name, pid in pids.items()}
    if result.outcomes.rows != rows or result.outcomes.rejected:
        raise SystemExit(f"expected {rows} rows without rejects, got {result.outcomes}")
    memory = {name: peak_rss_mb(pid) for name, pid in pids.items()}
    return {"rows_per_s": round(rows / seconds), "cpu_us_per_row": {**cpu, "all": round(sum(cpu.values()), 2)}, "peak_rss_mb": memory}


def line_of(kind: str, figures: dict[str, Any]) -> str:
    return "   ".join(
        (
            f"{kind:7} {figures['rows_per_s']:>8,} rows/s",
            f"limit {figures['limit']:>8,} ({figures['of_limit']:.2f} of it)",
            f"peer {figures['peer']:>7,} ({figures['of_peer']:.1f} ×)",
            f"CPU {figures['cpu_us_per_row']['all']} µs a row",
            f"{figures['bytes_per_profile']} bytes a profile",
        )
    )


def main(rows: int) -> int:
    with tempfile.TemporaryDirectory(prefix="headrace-speed-") as scratch, servers(Path(scratch)) as here:
        directory = Path(scratch)
        files = {kind: directory / f"{kind}.csv" for kind in ("create", "update")}
        for kind, path in files.items():
            data.write(rows, kind, path)
        store: Any = redis.Redis.from_url(here.redis_url)
        empty = store.info("memory")["used_memory"]  # of a fresh server: a flush gives memory back late
        found: dict[str, dict[str, Any]] = {kind: {} for kind in files}
        for kind, path in files.items():
            found[kind]["limit"] = round(limit.run(path, here.redis_url, directory / "commands"))
        store.flushall()
        for kind, path in files.items():
            found[kind]["peer"] = round(peer.run(path, here.redis_url))
        store.flushall()
        connect(here.access(), 1).create_bucket(Bucket=BUCKET)
        context = here.context()
        apply_configuration(context, plan_configuration(context.store, configuration()), "")
        for kind, path in files.items():
            found[kind] |= job(here, path, rows)
            found[kind]["bytes_per_profile"] = round((store.info("memory")["used_memory"] - empty) / rows)
    for kind, figures in found.items():
        figures["of_limit"] = round(figures["rows_per_s"] / figures["limit"], 2)
        figures["of_peer"] = round(figures["rows_per_s"] / figures["peer"], 2)
        sys.stdout.write(line_of(kind, figures) + "\n")
    sys.stdout.write(json.dumps({"rows": rows, **found}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 1_000_000))
