"""`python -m benchmarks.uploads [ROWS]`: an upload job from StartUploadJob to SUCCEEDED, against the flow that imports the same file for a connection.

The whole embedded stack, two merge workers. Both go through Prefect and a Prefect worker, and into a domain of their own with the same properties, which
some rows made before; in turn, each time into new profiles. Prints what was measured and, as its last line, JSON; exits 1 where the job took more
than its share. 1,000,000 rows: 4 minutes.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import http.client
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import boto3

from benchmarks import data
from deployments.embedded.api import ACCESS_KEY_ID, api_access
from deployments.embedded.stack import EmbeddedStack, StackOptions, bootstrap_in_a_process
from headrace.connections import Connection, S3Location
from headrace.settings import Settings
from headrace.yaml_source import Configuration
from object_store.access import connect
from streaming.importing.apply import apply_configuration, plan_configuration

MOST = 1.3
"""Times the bare import flow."""
ROUNDS = 2
JOBS, FILES, CONNECTION, BUCKET = "jobs", "files", "files", "files"
TARGETS = {
    "customer_id": "AccountNumber",
    "email": "PersonalEmailAddress",
    "name": "BusinessName",
    "country": "Address.Country",
    "city": "Address.City",
    "birth_date": "Attributes.born",
    "amount": "Attributes.amount",
    "interests": "Attributes.interests",
    "tier": "Attributes.tier",
    "points": "Attributes.points",
}
"""Column → property."""
LOOK_SECONDS = 0.1
HEADERS = "x-amz-server-side-encryption-customer-"


def configuration() -> Connection:
    goal = {
        "kind": "import_profiles",
        "name": "Customers",
        "domain": FILES,
        "source": {"bucket": BUCKET, "directory": "in", "files": "*.csv"},
        "link": [{"column": "customer_id", "property": TARGETS["customer_id"]}],
        "allow_creation": True,
        "mappings": [{"column": column, "property": name, "rule": "set"} for column, name in TARGETS.items()],
    }
    return Connection.model_validate({"version": 1, "kind": "connection", "name": CONNECTION, "goals": [goal]})


def write_rows(rows: int, customers: str, target: Path) -> None:
    """The rows of the benchmark of imports, as an upload job takes them: with commas, and ten of the columns. `customers`: their numbers begin with it."""
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "rows.csv"
        data.write(rows, "create", source)
        with source.open(encoding="utf-8", newline="") as read, target.open("w", encoding="utf-8", newline="") as write:
            out = csv.writer(write, lineterminator="\n")
            out.writerow(TARGETS)
            for one in csv.DictReader(read, delimiter=";"):
                one["customer_id"] = customers + one["customer_id"]
                one["amount"] = one["amount"].replace(",", ".")
                out.writerow([one[column] for column in TARGETS])


class Client:
    """Of the API, as anybody's. `boto3` has no names for these operations' types here."""

    def __init__(self, url: str, access_key_id: str, secret: str) -> None:
        self._client: Any = boto3.client(
            "customer-profiles", endpoint_url=url, region_name="us-east-1", aws_access_key_id=access_key_id, aws_secret_access_key=secret
        )

    def create_domain(self, name: str) -> None:
        self._client.create_domain(DomainName=name, DefaultExpirationDays=365)

    def uploaded_job(self, domain: str, path: Path) -> str:
        """A job whose file is there."""
        fields = {column: {"Source": column, "Target": f"_profile.{name}", "ContentType": "STRING"} for column, name in TARGETS.items()}
        made = self._client.create_upload_job(DomainName=domain, DisplayName=path.stem, Fields=fields, UniqueKey="customer_id")
        job_id = str(made["JobId"])
        place = self._client.get_upload_job_path(DomainName=domain, JobId=job_id)
        put(place["Url"], place["ClientToken"], path)
        return job_id

    def run(self, domain: str, job_id: str, rows: int) -> float:
        """Seconds from StartUploadJob to SUCCEEDED."""
        started = time.perf_counter()
        self._client.start_upload_job(DomainName=domain, JobId=job_id)
        while (found := self._client.get_upload_job(DomainName=domain, JobId=job_id))["Status"] == "IN_PROGRESS":
            time.sleep(LOOK_SECONDS)
        seconds = time.perf_counter() - started
        if (found["Status"], found.get("ResultsSummary", {}).get("CreatedRecords")) != ("SUCCEEDED", rows):
            raise SystemExit(f"the job ended {found['Status']}: {found.get('StatusReason')}, {found.get('ResultsSummary')}")
        return seconds


def put(url: str, token: str, path: Path) -> None:
    key_md5 = base64.b64encode(hashlib.md5(base64.b64decode(token), usedforsecurity=False).digest()).decode()
    headers = {
        f"{HEADERS}algorithm": "AES256",
        f"{HEADERS}key": token,
        f"{HEADERS}key-MD5": key_md5,
        "Content-Length": str(path.stat().st_size),
    }
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc)
    with path.open("rb") as body:
        connection.request("PUT", f"{parts.path}?{parts.query}", body, headers)
        answer = connection.getresponse()
    if answer.status != 200:
        raise SystemExit(f"the upload was answered {answer.status}: {answer.read().decode()}")
    connection.close()


def run_flow(path: Path) -> float:
    """Seconds from the start of a run of the connection to its end, as Prefect tells it."""
    from deployments.started_runs import look_at_run, start_run  # Prefect reads the environment when it is imported

    s3().upload_file(str(path), BUCKET, f"in/{path.name}")
    started = time.perf_counter()
    run = start_run(CONNECTION, "")
    while not (seen := look_at_run(run.run_id)).ended:
        time.sleep(LOOK_SECONDS)
    seconds = time.perf_counter() - started
    if seen.name != "Completed":
        raise SystemExit(f"the run ended {seen.name}: {seen.message}")
    return seconds


def s3() -> Any:
    from tasks.credentials import s3_access

    return connect(s3_access(S3Location(), Settings().s3), 1)


def prepare(client: Client, directory: Path) -> None:
    """Both domains with their properties, and the connection with its deployments."""
    from deployments.started_runs import deploy
    from tasks.opened import opened

    small = directory / "small.csv"
    write_rows(10, "small", small)
    for domain in (JOBS, FILES):
        client.create_domain(domain)
        client.run(domain, client.uploaded_job(domain, small), 10)
    s3().create_bucket(Bucket=BUCKET)
    with opened() as context:
        found = Configuration({}, {CONNECTION: configuration()})
        apply_configuration(context, plan_configuration(context.store, found), "")
    deploy([configuration()])


def main(rows: int) -> int:
    found: dict[str, list[float]] = {"flow": [], "job": []}
    with tempfile.TemporaryDirectory(prefix="headrace-uploads-") as scratch:
        directory = Path(scratch)
        options = StackOptions(directory / "stack", merge_workers=2, apis=1, bootstrap=bootstrap_in_a_process)
        with EmbeddedStack(options) as stack:
            assert stack.api is not None
            os.environ.update(stack.environment())
            client = Client(stack.api.url, ACCESS_KEY_ID, api_access(stack.directory / "api").secret)
            prepare(client, directory)
            for number in range(ROUNDS):
                path = directory / f"round-{number}.csv"
                write_rows(rows, f"R{number}", path)
                found["flow"].append(run_flow(path))
                found["job"].append(client.run(JOBS, client.uploaded_job(JOBS, path), rows))
    for name, seconds in found.items():
        sys.stdout.write(f"{name}: {', '.join(f'{one:.1f}' for one in seconds)} s\n")
    ratio = round(median(found["job"]) / median(found["flow"]), 2)
    missed = ratio > MOST
    sys.stdout.write(f"Missed: the job took {ratio} × the flow's time, at most {MOST} wanted.\n" if missed else "")
    sys.stdout.write(json.dumps({"rows": rows, "cores": os.cpu_count(), "ratio": ratio, **found}) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 1_000_000))
