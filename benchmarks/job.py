"""One import, as a flow does it, in a process of its own: `python -m benchmarks.job SERVERS CONNECTION` prints what it took as JSON.

The connections, all of one file: `one` maps one identifier, the link; `two` maps the e-mail as a second one; `forwarded` is linked by the e-mail of
profiles that live at their customer numbers, so that every row is forwarded to another partition.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import peer
from benchmarks.measure import Costs, peak_rss_mb
from benchmarks.servers import Servers
from headrace.connections import Connection
from headrace.domains import Domain
from headrace.yaml_source import Configuration
from object_store.access import connect
from profile_store import registry
from streaming.importing.apply import apply_configuration, plan_configuration
from streaming.importing.await_turn import finish
from streaming.importing.register import register_import
from streaming.importing.scan import scan_goal

BUCKET, DOMAIN, PARTITIONS = "speed", "speed", 32
TYPES = {"birth_date": "date", "last_purchase": "datetime", "amount": "number", "points": "number"}
LINKS = {"one": ("customer_id", "customer_id"), "two": ("customer_id", "customer_id"), "forwarded": ("email", "email")}


def configuration(name: str) -> Configuration:
    """The domain and the connection `name`; in the domain of `one` the e-mail is a text like any other."""
    email = {"name": "email"} if name == "one" else {"name": "email", "type": "email", "identifier": True}
    properties: list[dict[str, Any]] = [{"name": "customer_id", "identifier": True}, email]
    properties += [{"name": one, "type": TYPES.get(one, "text"), "multiple": one == "interests"} for one in peer.FIELDS if one != "email"]
    domain = {"version": 1, "kind": "domain", "name": DOMAIN, "partitions": PARTITIONS, "properties": properties}
    column, linked = LINKS[name]
    rules = peer.RULES if linked != "email" else {**peer.RULES, "email": "set_if_empty"}
    goal = {
        "kind": "import_profiles",
        "name": "Customers",
        "domain": DOMAIN,
        "source": {"bucket": BUCKET, "directory": name, "files": "*.csv"},
        "format": {"separator": ";", "decimal": ",", "multi_value": "|", "date_format": "%d/%m/%Y", "datetime_format": "%d/%m/%Y %H:%M:%S"},
        "link": [{"column": column, "property": linked}],
        "allow_creation": True,
        "mappings": [{"column": one, "property": one, "rule": rule} for one, rule in rules.items()],
    }
    connection = {"version": 1, "kind": "connection", "name": name, "goals": [goal]}
    return Configuration({DOMAIN: Domain.model_validate(domain)}, {name: Connection.model_validate(connection)})


def prepare(here: Servers, *names: str) -> None:
    """The domain, its connections and the bucket; returns when the workers hold the domain's partitions."""
    connect(here.access(), 1).create_bucket(Bucket=BUCKET)
    for name in names:
        context = here.context()
        apply_configuration(context, plan_configuration(context.store, configuration(name)), "")
    here.wait_for_workers(DOMAIN, PARTITIONS)


def run(here: Servers, name: str, source: Path, rows: int) -> dict[str, Any]:
    """Import a file by the connection `name`: rows/s, CPU and memory of each process, the flow's included, and bytes a profile all in."""
    connect(here.access(), 1).upload_file(str(source), BUCKET, f"{name}/{source.name}")
    costs = Costs(here.pids)
    command = [sys.executable, "-m", "benchmarks.job", json.dumps(asdict(here)), name]
    flow = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    cpu = {**costs.cpu_us_per_row(rows), "flow": round(flow["cpu_seconds"] / rows * 1e6, 2)}
    if flow["rows"] != rows or flow["rejected"]:
        raise SystemExit(f"expected {rows} rows without rejects, got {flow}")
    return {
        "rows_per_s": round(rows / flow["seconds"]),
        "outcomes": flow["outcomes"],
        "cpu_us_per_row": {**cpu, "all": round(sum(cpu.values()), 2)},
        "peak_rss_mb": {**costs.peaks_mb(), "flow": flow["peak_rss_mb"]},
        "load": os.getloadavg()[0],
    }


def drive(here: Servers, name: str) -> dict[str, Any]:
    """The flow's part: scan, then from the registration to the end on the clock. Costs are this process's, its start apart."""
    context = here.context()
    connection = registry.get_connection(context.store, name)
    goal = connection.import_goals[0]
    [file] = [one for one in scan_goal(context, connection, goal) if one.wanted]
    cpu, started = time.process_time(), time.perf_counter()
    result = finish(context, register_import(context, connection, goal, file.version, name), name)
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "rows": result.outcomes.rows,
        "rejected": result.outcomes.rejected + result.outcomes.cells,
        "outcomes": result.outcomes.as_dict(),
        "peak_rss_mb": peak_rss_mb(),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(drive(Servers(**json.loads(sys.argv[1])), sys.argv[2])))
