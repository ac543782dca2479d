"""The commands that look before anything runs, against real servers: what they say in both forms, and with which exit code."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from tests.integration.command_line import CommandLine
from tests.pipeline import Pipeline, access_to, pipeline
from tests.servers.valkey import flush

pytestmark = pytest.mark.slow

S3_SECRET = "s3-secret-that-nobody-may-see"
DOMAIN = """\
version: 1
kind: domain
name: retail
partitions: 2
properties:
  - {name: customer_id, identifier: true}
  - {name: total, type: number}
group_types:
  - {name: household, properties: [{name: household_id, identifier: true}]}
"""
CONNECTION = """\
version: 1
kind: connection
name: crm
goals:
  - kind: import_profiles
    id: purchases
    name: Purchases
    domain: retail
    source: {bucket: BUCKET, directory: in/, files: "*.csv"}
    link: [{column: id, property: customer_id}]
    allow_creation: true
    mappings:
      - {column: amount, property: total, rule: sum}
      - {column: day, property: last, type: date}
"""
GROUPS = """\
  - kind: import_groups
    id: households
    name: Households
    domain: retail
    group_type: household
    source: {bucket: BUCKET, directory: groups/}
    link: [{column: hh, property: household_id}]
    allow_creation: true
    mappings: [{column: size, property: size, type: number}]
"""
ROWS = "id,amount,day,tier\nC1,1.10,2026-01-31,gold\nC2,many,31/01/2026,silver\n,5,2026-02-01,\n"


@dataclass
class Installation:
    """A connection with two goals is applied; two files wait for the one, one for the other."""

    headrace: CommandLine
    real: Pipeline
    bucket: str = field(default_factory=lambda: f"b{uuid.uuid4().hex[:10]}")


@pytest.fixture(scope="module")
def installation(
    valkey_server: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    flush(valkey_server)
    directory = tmp_path_factory.mktemp("look")
    environment = {
        "HEADRACE_REDIS_URL": valkey_server.url,
        "HEADRACE_KAFKA_BOOTSTRAP_SERVERS": tansu_server.bootstrap_servers,
        "HEADRACE_S3_ENDPOINT_URL": s3_server.endpoint_url,
        "HEADRACE_S3_ACCESS_KEY_ID": "key",
        "HEADRACE_S3_SECRET_ACCESS_KEY": S3_SECRET,
    }
    real = pipeline(valkey_server.url, tansu_server.bootstrap_servers, access_to(s3_server))
    made = Installation(CommandLine(directory, environment, (S3_SECRET,)), real)
    real.make_bucket(made.bucket)
    real.put(made.bucket, "in/1-old.csv", b"id,amount,day\nC9,1,2026-01-01\n")
    real.put(made.bucket, "in/2-new.csv", ROWS.encode())
    real.put(made.bucket, "groups/h.csv", b"hh,size\nH1,3\n")
    apply(made, CONNECTION + GROUPS)
    return made


def apply(installation: Installation, connection: str) -> None:
    directory: Path = installation.headrace.directory
    (directory / "domain.yaml").write_text(DOMAIN)
    (directory / "connection.yaml").write_text(connection.replace("BUCKET", installation.bucket))
    done = installation.headrace("apply", "domain.yaml", "connection.yaml")
    assert done.code == 0, done.err


@pytest.mark.spec("C5")
def test_buckets_are_listed_with_the_goals_that_read_them(installation: Installation) -> None:
    said = installation.headrace("buckets", "crm", "--json")
    assert said.code == 0, said.err
    assert {"name": installation.bucket, "goals": ["purchases", "households"]} in said.document["buckets"]


@pytest.mark.spec("I4", "G2")
def test_scan_lists_the_files_of_groups_too(installation: Installation) -> None:
    said = installation.headrace("scan", "crm", "--json").document
    assert [(goal["goal"], goal["domain"], [file["key"] for file in goal["files"]]) for goal in said["goals"]] == [
        ("purchases", "retail", ["in/1-old.csv", "in/2-new.csv"]),
        ("households", "retail~household", ["groups/h.csv"]),
    ]


@pytest.mark.spec("I5", "I9")
def test_preview_shows_the_newest_file_as_the_goal_reads_it(installation: Installation) -> None:
    said = installation.headrace("preview", "crm", "purchases", "--json")
    assert said.code == 0, said.err
    document = said.document
    assert document["file"]["key"] == "in/2-new.csv"
    assert (document["columns"], document["unmapped"], document["rows"]) == (["id", "amount", "day", "tier"], ["tier"], 3)
    by_column = {one["column"]: one for one in document["mappings"]}
    assert (by_column["amount"]["read"], by_column["amount"]["rejected"]) == (2, {"NOT_A_NUMBER": 1})
    assert by_column["amount"]["values"] == {"1.10": "1.1", "5": "5"}
    assert (by_column["day"]["format"], by_column["day"]["refused"]) == ("%Y-%m-%d", {"31/01/2026": "NOT_A_DATE"})
    assert [(row["line"], row["link"], row["rejected"]) for row in document["first_rows"]] == [
        (2, "customer_id", None),
        (3, "customer_id", None),
        (4, None, "NO_IDENTIFIER"),
    ]
    people = installation.headrace("preview", "crm", "purchases")
    for part in ("31/01/2026", "NOT_A_DATE", "Not a number", "line 4: rejected. NO_IDENTIFIER", "not mapped: tier"):
        assert part in people.out + people.err


@pytest.mark.spec("I5")
def test_preview_of_a_file_that_lacks_a_column_says_so_and_fails(installation: Installation) -> None:
    installation.real.put(installation.bucket, "elsewhere/x.csv", b"id,amount\nC1,1\n")
    said = installation.headrace("preview", "crm", "purchases", "--file", "elsewhere/x.csv")
    assert said.code == 1
    assert "an import would fail: there is no column 'day'" in said.out


@pytest.mark.spec("M8")
def test_detect_prints_lines_that_can_be_pasted(installation: Installation) -> None:
    said = installation.headrace("detect", "crm", "purchases", "--file", "2-new.csv", "--prefix", "crm_")
    assert said.code == 0, said.err
    assert said.out == "      - {column: tier, property: crm_tier}\n"
    assert "types are guessed from 3 rows" in said.err
    document = installation.headrace("detect", "crm", "purchases", "--json").document
    assert [(one["column"], one["target"], one["type"]) for one in document["fields"]] == [("tier", "tier", "text")]


@pytest.mark.spec("B3", "G5")
def test_dry_run_says_what_an_import_would_do(installation: Installation) -> None:
    said = installation.headrace("dry-run", "crm", "purchases", "--json")
    assert said.code == 0, said.err
    document = said.document
    assert {name: document[name] for name in ("rows", "created", "rejected", "cells", "new_profiles", "files_to_import")} == {
        "rows": 3,
        "created": 2,
        "rejected": 1,
        "cells": 2,
        "new_profiles": 2,
        "files_to_import": 2,
    }
    assert {(one["column"], one["code"]) for one in document["rejects"]} == {
        ("amount", "NOT_A_NUMBER"),
        ("day", "NOT_A_DATE"),
        (None, "NO_IDENTIFIER"),
    }
    assert {"customer_id": "C1", "total": "1.1", "last": "2026-01-31"} in [one["after"] for one in document["profiles"]]
    people = installation.headrace("dry-run", "crm", "purchases")
    for part in ("nothing was changed", "3 rows", "2 created", "NOT_A_NUMBER", "many", "2026-01-31", "would import 2 of 2"):
        assert part in people.out + people.err
    groups = installation.headrace("dry-run", "crm", "households", "--json").document
    assert (groups["created"], groups["profiles"][0]["after"]) == (1, {"household_id": "H1", "size": "3"})


def test_a_goal_that_does_not_exist_is_told_with_those_that_do(installation: Installation) -> None:
    wrong = installation.headrace("detect", "crm", "purchase", "--json")
    assert wrong.code == 1
    assert wrong.error["code"] == "NO_SUCH_GOAL"
    assert "purchases, households" in wrong.error["message"]
    assert installation.headrace("detect", "crm", "--json").error["code"] == "WHICH_GOAL"
