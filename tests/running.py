"""A running Headrace for tests of statements: one node of Valkey, Apache Kafka, S3 protocol, one merge worker, one domain; a goal for each test."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.connections import Connection
from headrace.file_selection import is_own
from headrace.merge import Profile
from object_store.access import S3Access, connect
from object_store.store import ObjectStore
from streaming.importing.close import ImportResult
from streaming.importing.context import ImportContext, Progress
from streaming.importing.reject_lines import CODE, COLUMN, LINE
from streaming.importing.scan import ScannedFile, scan_goal
from tests.pipeline import Pipeline, access_to, pipeline
from tests.servers.valkey import flush

MAPPINGS = [
    {"column": "name", "property": "name"},
    {"column": "total", "property": "total", "rule": "sum"},
    {"column": "tags", "property": "tags", "rule": "add"},
    {"column": "day", "property": "day"},
]
COLUMNS = ("id", "name", "total", "tags", "day")


def domain_of(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "partitions": 2,
        "properties": [
            {"name": "customer_id", "identifier": True},
            {"name": "name"},
            {"name": "total", "type": "number"},
            {"name": "tags", "multiple": True},
            {"name": "day", "type": "date"},
        ],
    }


def csv_of(*rows: tuple[str, ...], separator: str = ",", columns: tuple[str, ...] = COLUMNS) -> bytes:
    """Rows may be shorter than `columns`: what is missing is blank."""
    out = io.StringIO(newline="")
    padded = ((*row, *[""] * (len(columns) - len(row))) for row in rows)
    csv.writer(out, delimiter=separator, lineterminator="\n").writerows([columns, *padded])
    return out.getvalue().encode()


@dataclass
class Work:
    """One connection with one goal, on a directory and profiles of its own."""

    running: Running
    goal: dict[str, Any]
    name: str = field(default_factory=lambda: f"c{uuid.uuid4().hex[:10]}")
    connection: Connection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = self.change()

    @property
    def bucket(self) -> str:
        return str(self.goal["source"]["bucket"])

    @property
    def directory(self) -> str:
        return str(self.goal["source"]["directory"])

    def change(self, **goal: Any) -> Connection:
        """Apply the connection with another goal."""
        self.goal = {**self.goal, **goal}
        self.connection = self.running.pipeline.apply(self.running.domain, self.goal, self.name)
        return self.connection

    def put(self, name: str, data: bytes) -> None:
        self.running.pipeline.put(self.bucket, self.directory + name, data)

    def run(self, context: ImportContext | None = None) -> list[ImportResult]:
        return self.running.pipeline.run(self.connection, context)

    def load(self, data: bytes, name: str = "a.csv") -> ImportResult:
        """Put one file and import it, and nothing else."""
        self.put(name, data)
        [result] = self.run()
        return result

    def scan(self) -> list[ScannedFile]:
        return scan_goal(self.running.pipeline.context, self.connection, self.connection.import_goals[0])

    def statuses(self) -> dict[str, str]:
        return {one.version.key.removeprefix(self.directory): one.status for one in self.scan()}

    def profiles(self) -> dict[str, Profile]:
        """By customer id; those that this test made: their ids begin with the connection's name."""
        every = self.running.pipeline.profiles(self.running.domain["name"]).values()
        mine = {str(one["customer_id"]): one for one in every if str(one.get("customer_id", "")).startswith(self.name)}
        return {name.removeprefix(f"{self.name}-"): one for name, one in mine.items()}

    def own_keys(self) -> list[str]:
        """What Headrace wrote below the directory."""
        found = connect(self.running.pipeline.access, 1).list_objects_v2(Bucket=self.bucket, Prefix=self.directory).get("Contents", [])
        return [one["Key"].removeprefix(self.directory) for one in found if is_own(one["Key"])]

    def rejects(self, result: ImportResult) -> tuple[list[str], list[list[str]]]:
        """The header and the rows of the rejects file."""
        assert result.rejects_key is not None
        header, *rows = self.lines(result.rejects_key, header=True)
        return header, rows

    def lines(self, rejects_key: str, *, header: bool = False) -> list[list[str]]:
        """Of a file of rejects."""
        text = self.read(rejects_key).decode("utf-8-sig")
        found = list(csv.reader(io.StringIO(text, newline=""), delimiter=self.goal.get("format", {}).get("separator", ",")))
        return found if header else found[1:]

    def reasons(self, result: ImportResult) -> list[tuple[str, str, str]]:
        """(line, column, code) of each reject."""
        return [(row[LINE], row[COLUMN], row[CODE]) for row in self.rejects(result)[1]]

    def read(self, key: str) -> bytes:
        return connect(self.running.pipeline.access, 1).get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def row(self, number: object, *cells: str) -> tuple[str, ...]:
        return (f"{self.name}-{number}", *cells)


@dataclass
class Running:
    pipeline: Pipeline
    domain: dict[str, Any]
    bucket: str
    versioned: str

    def work(self, *, versioned: bool = False, **goal: Any) -> Work:
        directory = f"t{uuid.uuid4().hex[:10]}/"
        return Work(
            self,
            {
                "domain": self.domain["name"],
                "source": {"bucket": self.versioned if versioned else self.bucket, "directory": directory, "files": "*"},
                "link": [{"column": "id", "property": "customer_id"}],
                "allow_creation": True,
                "format": {"multi_value": "|"},
                "mappings": MAPPINGS,
                **goal,
            },
        )

    def context(self, report: Callable[[Progress], None], access: S3Access | None = None) -> ImportContext:
        """Of a run that tells its progress, through another way to S3."""
        objects = ObjectStore(access or self.pipeline.access)
        return replace(self.pipeline.context, report=report, objects_of=lambda _: objects)


@contextmanager
def running(valkey: ValkeyServer, kafka: str, s3: S3Server) -> Iterator[Running]:
    """For a module: what its tests leave behind is in nobody's way. The store is emptied first."""
    flush(valkey)
    name = f"d{uuid.uuid4().hex[:12]}"
    made = Running(pipeline(valkey.url, kafka, access_to(s3)), domain_of(name), f"{name}-bucket", f"{name}-versioned")
    made.pipeline.make_bucket(made.bucket)
    made.pipeline.make_bucket(made.versioned, versioned=True)
    made.work()  # the domain and its topic have to be there before its worker
    with made.pipeline.workers(name):
        yield made
