"""`python -m benchmarks.memory [SMALL_MB LARGE_MB]`: peak RSS of the process that splits and drives an import, for a small file and a large one.

Real servers, all of them started here: Valkey, the embedded broker, S3 and two merge workers. Prints one JSON line per file; exits 1 where the larger
file takes over 60 MB more than the small one, or over 400 MB.

The buffers of an import (blocks of the file, batches, 32 MB of messages that the broker has yet to confirm) have an end, and are fuller in one run than
in the next: what grew with the file would show in its size.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import peak_rss_mb
from benchmarks.servers import Servers, servers
from headrace.connections import Connection
from headrace.domains import Domain
from headrace.yaml_source import Configuration
from object_store.access import S3Access, connect
from object_store.store import ObjectStore
from profile_store import registry
from streaming.importing.apply import apply_configuration, plan_configuration
from streaming.importing.await_turn import finish
from streaming.importing.register import register_import
from streaming.importing.scan import scan_goal

BUCKET, DOMAIN = "memory", "memory"
MEGABYTE = 1_000_000
LIMIT_MB, BUFFERS_MB = 400, 60


def connection_of(name: str) -> Connection:
    goal = {
        "kind": "import_profiles",
        "name": "Customers",
        "domain": DOMAIN,
        "source": {"bucket": BUCKET, "directory": name, "files": "*.csv"},
        "link": [{"column": "id", "property": "customer_id"}],
        "allow_creation": True,
        "mappings": [
            {"column": "amount", "property": "total", "rule": "sum"},
            {"column": "day", "property": "last", "rule": "set"},
            {"column": "name", "property": "name", "rule": "set_if_empty"},
        ],
    }
    return Connection.model_validate({"version": 1, "kind": "connection", "name": name, "goals": [goal]})


def upload(access: S3Access, name: str, megabytes: int) -> None:
    """A file of so many megabytes over 200,000 customers, written block by block."""
    client = connect(access, 1)
    if BUCKET not in [one["Name"] for one in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=BUCKET)
    rows = (
        f"C{n:06d},{n % 1000}.{n % 100:02d},2026-{1 + n % 12:02d}-{1 + n % 28:02d},Customer number {n} of a benchmark,not mapped at all\n"
        for n in range(200_000)
    )
    block = "".join(rows).encode()
    with ObjectStore(access).open_write(BUCKET, f"{name}/a.csv") as out:
        out.write(b"id,amount,day,name,more\n")
        written = 0
        while written < megabytes * MEGABYTE:
            out.write(block)
            written += len(block)


def run(here: Servers, name: str) -> dict[str, object]:
    """One import in this process; its peak RSS is this process's."""
    context, connection = here.context(), registry.get_connection(here.context().store, name)
    goal = connection.import_goals[0]
    [file] = scan_goal(context, connection, goal)
    started = time.perf_counter()
    result = finish(context, register_import(context, connection, goal, file.version, name), name)
    seconds = time.perf_counter() - started
    peak = peak_rss_mb()
    rows = result.outcomes.rows
    return {
        "file_mb": file.version.size // MEGABYTE,
        "state": result.state,
        "rows": rows,
        "rows_per_s": round(rows / seconds),
        "peak_rss_mb": peak,
    }


def main(small: int, large: int) -> int:
    with tempfile.TemporaryDirectory(prefix="headrace-memory-") as directory, servers(Path(directory)) as here:
        domain = {
            "version": 1,
            "kind": "domain",
            "name": DOMAIN,
            "properties": [
                {"name": "customer_id", "identifier": True},
                {"name": "total", "type": "number"},
                {"name": "last", "type": "date"},
                {"name": "name"},
            ],
        }
        connections = {name: connection_of(name) for name in ("small", "large")}
        configuration = Configuration({DOMAIN: Domain.model_validate(domain)}, connections)
        context = here.context()
        apply_configuration(context, plan_configuration(context.store, configuration), "")
        peaks = []
        for name, megabytes in (("small", small), ("large", large)):
            upload(here.access(), name, megabytes)
            child = [sys.executable, "-m", "benchmarks.memory", "--one", name, here.redis_url, here.kafka, here.endpoint_url]
            measured = json.loads(subprocess.run(child, check=True, stdout=subprocess.PIPE).stdout)
            sys.stdout.write(json.dumps(measured) + "\n")
            sys.stdout.flush()
            peaks.append(measured["peak_rss_mb"])
    return 0 if peaks[1] <= peaks[0] + BUFFERS_MB and peaks[1] < LIMIT_MB else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        sys.stdout.write(json.dumps(run(Servers(sys.argv[3], sys.argv[4], sys.argv[5]), sys.argv[2])))
        sys.exit(0)
    sys.exit(main(*(int(one) for one in sys.argv[1:3] or ("100", "1000"))))
