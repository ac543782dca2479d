"""Every command, in both forms, against real servers; what it says, and with which exit code."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deployments.embedded.broker import BrokerServer
from deployments.embedded.processes import free_port
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from object_store.access import connect
from tests.corrected import corrected
from tests.integration.command_line import CommandLine, Said
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually
from tests.servers.valkey import flush

S3_SECRET = "s3-secret-that-nobody-may-see"
ADDRESS_SECRET = "address-secret-that-nobody-may-see"

DOMAIN = """\
version: 1
kind: domain
name: {domain}
partitions: {partitions}
properties:
  - {{name: customer_id, type: text, identifier: true}}
  - {{name: total, type: number}}
  - {{name: last, type: date}}
  - {{name: tags, multiple: true}}
"""

CONNECTION = """\
version: 1
kind: connection
name: {connection}
enabled: {enabled}
goals:
  - kind: import_profiles
    id: purchases
    name: Purchases
    active: {active}
    domain: {domain}
    source: {{bucket: {bucket}, directory: in/, files: "*"}}
    format: {{separator: ";", multi_value: "|"}}
    link: [{{column: id, property: customer_id}}]
    allow_creation: true
    mappings:
      - {{column: amount, property: total, rule: {rule}}}
      - {{column: day, property: last, rule: set}}
      - {{column: tags, property: tags, rule: add}}
"""

ROWS = "id;amount;day;tags\nC1;1.10;2026-01-31;a|b\nC2;2;2026-02-01;\nC1;0.9;2026-02-02;b|c\n"
MISTAKES = "id;amount;day;tags\nC1;many;2026-03-01;\n;5;2026-03-02;\nC3;7;31/03/2026;x\nC4;1\n"


@dataclass
class Installation:
    """Servers, files, a bucket and a merge worker (the command `headrace worker` itself)."""

    headrace: CommandLine
    real: Pipeline
    directory: Path
    domain: str = field(default_factory=lambda: f"d{uuid.uuid4().hex[:10]}")
    connection: str = field(default_factory=lambda: f"c{uuid.uuid4().hex[:10]}")
    bucket: str = field(default_factory=lambda: f"b{uuid.uuid4().hex[:10]}")

    def domain_file(self, partitions: int = 4) -> Path:
        path = self.directory / f"{uuid.uuid4().hex}.yaml"
        path.write_text(DOMAIN.format(domain=self.domain, partitions=partitions))
        return path

    def connection_file(self, *, rule: str = "sum", enabled: str = "true", active: str = "true", bucket: str = "") -> Path:
        path = self.directory / f"{uuid.uuid4().hex}.yaml"
        named = {"domain": self.domain, "connection": self.connection, "bucket": bucket or self.bucket}
        path.write_text(CONNECTION.format(**named, rule=rule, enabled=enabled, active=active))
        return path

    def applied(self) -> Installation:
        """With a connection of its own in the same domain, and a bucket of its own."""
        other = Installation(self.headrace, self.real, self.directory)
        other.real.make_bucket(other.bucket)
        done = self.headrace("apply", other.domain_file(), other.connection_file())
        assert done.code == 0, done.err
        return other

    def put(self, name: str, content: str | bytes) -> None:
        self.real.put(self.bucket, f"in/{name}", content if isinstance(content, bytes) else content.encode())


@pytest.fixture(scope="module")
def installation(
    valkey_server: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    flush(valkey_server)
    directory = tmp_path_factory.mktemp("cli")
    environment = {
        "HEADRACE_REDIS_URL": valkey_server.url,
        "HEADRACE_KAFKA_BOOTSTRAP_SERVERS": tansu_server.bootstrap_servers,
        "HEADRACE_KAFKA_SESSION_TIMEOUT_MS": "6000",
        "HEADRACE_S3_ENDPOINT_URL": s3_server.endpoint_url,
        "HEADRACE_S3_ACCESS_KEY_ID": "key",
        "HEADRACE_S3_SECRET_ACCESS_KEY": S3_SECRET,
        "HEADRACE_ADDRESS_SECRET": ADDRESS_SECRET,
    }
    headrace = CommandLine(directory, environment, (S3_SECRET, ADDRESS_SECRET))
    real = pipeline(valkey_server.url, tansu_server.bootstrap_servers, access_to(s3_server))
    return Installation(headrace, real, directory)


@pytest.fixture(scope="module")
def worker(installation: Installation) -> Iterator[subprocess.Popen[str]]:
    """`headrace worker`, for all domains. What it says is read all the while, so that no pipe fills up."""
    running = installation.headrace.start("worker", "--json")
    said: list[str] = []
    assert running.stdout is not None
    stream = running.stdout
    reader = threading.Thread(target=lambda: said.extend(stream), daemon=True)
    reader.start()
    eventually(lambda: any("serving /health" in line for line in said), within=60, what="the worker serves /health")
    yield running
    running.send_signal(signal.SIGTERM)
    assert running.wait(120) == 0
    reader.join(60)
    assert said
    assert all(json.loads(line)["message"] for line in said)


def with_rows(installation: Installation) -> Installation:
    """A connection of its own, whose first file is in the profiles."""
    own = installation.applied()
    own.put("first.csv", ROWS)
    done = own.headrace("run", own.connection, "--here")
    assert done.code == 0, done.err
    return own


@pytest.fixture
def imported(installation: Installation, worker: subprocess.Popen[str]) -> Installation:
    """ROWS are in the profiles, and the test may do more."""
    return with_rows(installation)


@pytest.fixture(scope="module")
def looked_at(installation: Installation, worker: subprocess.Popen[str]) -> Installation:
    """ROWS are in the profiles, for tests that change nothing."""
    return with_rows(installation)


COMMANDS = [
    ("up",),
    ("check",),
    ("apply",),
    ("scan",),
    ("run",),
    ("runs",),
    ("worker",),
    ("profile", "get"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_of_each_command(command: tuple[str, ...], tmp_path: Path) -> None:
    said = CommandLine(tmp_path)(*command, "--help")
    assert said.code == 0
    assert "--json" in said.out


def test_help_names_every_command_and_imports_nothing_heavy(tmp_path: Path) -> None:
    said = CommandLine(tmp_path)("--help")
    assert said.code == 0
    assert all(command[0] in said.out for command in COMMANDS)
    heavy = "{'pydantic', 'prefect', 'boto3', 'pyarrow', 'redis', 'confluent_kafka', 'numpy'}"
    program = f"import sys; import headrace.cli.app; sys.exit(str({heavy} & set(sys.modules)) if {heavy} & set(sys.modules) else 0)"
    done = subprocess.run([*CommandLine.command()[:1], "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("fly",),
        ("check",),
        ("scan",),
        ("run", "crm", "goal", "more"),
        ("runs", "--most", "many"),
        ("profile", "get", "shop"),
        ("profile", "get", "shop", "C1"),
        ("profile", "get", "shop", "customer_id=C1", "--id", "0" * 32),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_ends_with_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    said = CommandLine(tmp_path)(*arguments)
    assert said.code == 2
    assert "Usage: headrace" in said.err
    assert not said.out


def test_check_of_good_files_alone(installation: Installation, tmp_path: Path) -> None:
    alone = CommandLine(tmp_path)
    files = installation.domain_file(), installation.connection_file()
    said = alone("check", *files)
    assert said.code == 0
    assert f"domain {installation.domain}, connection {installation.connection}: no problems" in said.out
    assert "the files alone" in said.out
    assert "goal purchases sums total: a file that is imported again" in said.err
    document = alone("check", *files, "--json").document
    assert document["ok"] is True
    assert document["connections"] == [installation.connection]
    assert len(document["warnings"]) == 1
    assert alone("check", installation.domain_file(), installation.connection_file(rule="set"), "--json").document["warnings"] == []


def test_check_says_file_and_line_of_everything_wrong(installation: Installation, tmp_path: Path) -> None:
    broken = installation.connection_file(rule="summ")
    said = CommandLine(tmp_path)("check", installation.domain_file(), broken, tmp_path / "none.yaml")
    assert said.code == 1
    assert f"{broken}:16: goals[0].mappings[0].rule: 'summ' is not a rule" in said.err
    assert f"{tmp_path / 'none.yaml'}: there is no such file" in said.err
    assert "no problems" not in said.out
    error = CommandLine(tmp_path)("check", installation.domain_file(), broken, "--json").error
    assert error["code"] == "CONFIGURATION"
    assert error["problems"][0].startswith(f"{broken}:16: ")


def test_check_of_links_that_say_the_same(installation: Installation, tmp_path: Path) -> None:
    path = installation.connection_file()
    path.write_text(path.read_text().replace("link: [", "link: [{column: id, property: profile_identifier}, "))
    said = CommandLine(tmp_path)("check", installation.domain_file(), path)
    assert said.code == 1
    assert "column 'id' is linked twice, first in link[0]" in said.err


def test_check_goes_on_without_an_installation_that_does_not_answer(installation: Installation) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    said = installation.headrace("check", installation.domain_file(), installation.connection_file(), HEADRACE_REDIS_URL=nowhere)
    assert said.code == 0
    assert "checked without the installation: REDIS_UNAVAILABLE" in said.err


def test_apply_says_what_it_does_and_the_second_time_that_nothing_changes(installation: Installation) -> None:
    own = Installation(installation.headrace, installation.real, installation.directory)
    domain, connection = own.domain_file(), own.connection_file()
    first = own.headrace("apply", domain, connection)
    assert first.code == 0
    assert f"+ domain {own.domain}: created, 4 partitions\n+ connection {own.connection}: created\napplied" in first.out
    assert "PREFECT_API_URL is not set" in first.err
    second = own.headrace("apply", domain, connection)
    assert (second.code, second.out) == (0, "nothing changes: everything is as the files say\n")
    third = own.headrace("apply", connection, "--json")
    assert third.document == {"changes": [], "plan": [], "warnings": [], "to_build": [], "deployments": []}


@pytest.mark.spec("C3", "I10")
def test_apply_shows_its_plan_and_removes_a_goal_only_when_told_to(imported: Installation) -> None:
    path = imported.connection_file(active="false")
    path.write_text(path.read_text().replace("id: purchases\n", "id: others\n"))
    removed = (
        f"connection {imported.connection}: goal purchases: removed, with its ledger of 1 file: a goal of that id would import them anew"
    )

    shown = imported.headrace("apply", path, "--plan")
    assert shown.code == 0
    assert shown.out == f"- {removed}\n+ connection {imported.connection}: goal others: created\n"
    refused = imported.headrace("apply", path, "--json")
    assert (refused.code, refused.error["code"]) == (1, "NOT_CONFIRMED")
    assert imported.headrace("apply", imported.connection_file(), "--plan", "--json").document["changes"] == [], "nothing was changed yet"

    done = imported.headrace("apply", path, "--yes", "--json").document
    assert done["plan"][0] == {"what": "removed", "text": removed}
    back = imported.headrace("apply", imported.connection_file(), "--yes")
    assert back.code == 0
    files = imported.headrace("scan", imported.connection, "--json").document["goals"][0]["files"]
    assert [(file["key"], file["status"]) for file in files] == [("in/first.csv", "new")]


@pytest.mark.spec("C3", "C4")
def test_goals_and_connections_are_changed_and_the_plan_says_what_the_file_would_change_back(installation: Installation) -> None:
    own = installation.applied()
    done = own.headrace("goal", "deactivate", own.connection, "purchases")
    assert done.code == 0, done.err
    assert "goal purchases is not active any more" in done.out
    assert "`headrace apply --plan` shows" in done.err
    assert own.headrace("connection", "off", own.connection, "--json").document["enabled"] is False
    lines = own.headrace("apply", own.connection_file(), "--plan", "--json").document["changes"]
    assert lines == [
        f"connection {own.connection}: enabled: false → true",
        f"connection {own.connection}: goal purchases: active: false → true",
    ]
    assert own.headrace("goal", "list", own.connection, "--json").document["goals"][0]["active"] == "not active"
    assert own.headrace("goal", "delete", own.connection, "purchases", "--json").error["code"] == "NOT_CONFIRMED"


@pytest.mark.spec("R2")
def test_the_next_starts_are_listed_with_their_time_zone(installation: Installation) -> None:
    own = installation.applied()
    assert "has no schedule" in own.headrace("schedule", own.connection).out
    path = own.connection_file()
    path.write_text(
        path.read_text().replace("goals:", 'schedule: [{days_of_week: [mon], at: "03:00", time_zone: Europe/Amsterdam}]\ngoals:', 1)
    )
    own.headrace("apply", path)
    lines = own.headrace("schedule", own.connection, "--most", "2").out.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("Mon ") and "03:00  Europe/Amsterdam" in line for line in lines[1:])
    ticks = own.headrace("schedule", own.connection, "--json").document["ticks"]
    assert len(ticks) == 10
    assert all(tick["at"][11:16] == "03:00" and tick["utc"][11:13] in ("01", "02") for tick in ticks)


@pytest.mark.spec("I10")
def test_the_plan_counts_the_files_that_would_be_imported_again(imported: Installation) -> None:
    path = imported.connection_file(rule="set")
    lines = imported.headrace("apply", path, "--plan", "--json").document["changes"]
    assert lines == [
        f"connection {imported.connection}: goal purchases: mappings[total].rule: sum → set",
        f"connection {imported.connection}: goal purchases: 1 imported file would be imported again",
    ]


def test_apply_refuses_another_number_of_partitions_and_changes_nothing(installation: Installation) -> None:
    own = installation.applied()
    said = own.headrace("apply", own.domain_file(partitions=8), own.connection_file(enabled="false"), "--json")
    assert said.code == 1
    assert said.error["code"] == "CONFIGURATION"
    assert "partitions" in said.error["message"]
    assert own.headrace("scan", own.connection).code == 0
    assert own.headrace("apply", own.connection_file(), "--json").document["changes"] == []


def test_apply_without_an_address_secret_warns_once(installation: Installation) -> None:
    own = Installation(installation.headrace, installation.real, installation.directory)
    domain = own.domain_file()
    assert "HEADRACE_ADDRESS_SECRET is not set" in own.headrace("apply", domain, HEADRACE_ADDRESS_SECRET="").err
    assert "HEADRACE_ADDRESS_SECRET" not in own.headrace("apply", domain, HEADRACE_ADDRESS_SECRET="").err


@pytest.mark.spec("I10")
def test_apply_and_check_say_how_many_files_a_changed_sum_would_import_again(imported: Installation) -> None:
    path = imported.connection_file()
    path.write_text(path.read_text().replace("property: last, rule: set}", "property: last, rule: set_if_empty}"))
    warned = "1 imported file would be imported again, and added once more"
    assert warned in imported.headrace("check", path).err
    assert any(warned in line for line in imported.headrace("apply", path, "--json").document["warnings"])


@pytest.mark.spec("I4")
def test_scan_lists_files_with_status_and_reason(imported: Installation) -> None:
    imported.put("second.csv", MISTAKES)
    said = imported.headrace("scan", imported.connection, "purchases")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == f"goal purchases: s3://{imported.bucket}/in/*"
    assert lines[1].split()[:2] == ["file", "bytes"]
    assert [line.split()[0] for line in lines[2:]] == ["in/first.csv", "in/second.csv"]
    assert "imported" in lines[2]
    assert "not imported before" in lines[3]
    files = imported.headrace("scan", imported.connection, "--json").document["goals"][0]["files"]
    assert [(file["key"], file["size"], file["status"]) for file in files] == [
        ("in/first.csv", len(ROWS), "imported"),
        ("in/second.csv", len(MISTAKES), "new"),
    ]


def test_run_says_counts_and_the_second_time_why_nothing_is_done(installation: Installation, worker: subprocess.Popen[str]) -> None:
    own = installation.applied()
    own.put("first.csv", ROWS)
    first = own.headrace("run", own.connection)
    assert first.code == 0, first.err
    assert "1 file imported, 3 rows, 0 of them rejected." in first.out
    assert "2 created, 1 updated, 0 unchanged, 0 skipped, 0 rejected" in first.out
    assert "rows/s" in first.out
    second = own.headrace("run", own.connection, "purchases", "--json")
    assert second.code == 0
    assert second.document["state"] == "NOTHING_TO_DO"
    assert second.document["files"] == []
    assert "neither file nor configuration changed" in second.document["skipped"][0][1]


@pytest.mark.spec("B2", "M11")
def test_run_shows_rejects_with_line_column_and_reason_but_no_cell(imported: Installation) -> None:
    imported.put("second.csv", MISTAKES)
    said = imported.headrace("run", imported.connection, "--here", "--json")
    assert said.code == 0, said.err
    (file,) = said.document["files"]
    assert file["outcomes"] == {"created": 1, "updated": 1, "unchanged": 0, "skipped": 0, "rejected": 2, "cells": 2}
    assert [(one["line"], one["column"], one["code"]) for one in file["first_rejects"]] == [
        (2, "amount", "NOT_A_NUMBER"),
        (3, "", "NO_IDENTIFIER"),
        (4, "day", "NOT_A_DATE"),
        (5, "", "WRONG_COLUMN_COUNT"),
    ]
    assert "many" not in said.out + said.err
    assert "31/03/2026" not in said.out + said.err
    key = file["rejects_key"]
    assert f"s3://{imported.bucket}/{key}" in said.err
    body = connect(imported.real.access).get_object(Bucket=imported.bucket, Key=key)["Body"].read().decode()
    assert "many" in body


@pytest.mark.spec("B2", "R1")
def test_rejects_are_listed_corrected_and_replayed(imported: Installation, tmp_path: Path) -> None:
    imported.put("second.csv", MISTAKES)
    assert imported.headrace("run", imported.connection, "--here").code == 0
    (listed,) = imported.headrace("rejects", "list", imported.connection, "--json").document["imports"]
    assert (listed["rows"], listed["cells"], listed["replayed"], listed["left"]) == (2, 2, 0, 4)
    body = connect(imported.real.access).get_object(Bucket=imported.bucket, Key=listed["rejects_key"])["Body"].read()
    path = tmp_path / "corrected.csv"
    path.write_bytes(corrected(body, lambda line: {**line, "amount": "2.5", "id": "C7"} if line["_headrace_line"] in "23" else line, ";"))
    said = imported.headrace("rejects", "replay", imported.connection, str(path))
    assert said.code == 1, "not every line was replayed"
    assert "4 lines of rejects" in said.out
    assert "2 replayed, 1 rejected again, 1 left as they are" in said.out
    assert "NOT_CORRECTED" in said.out
    again = imported.headrace("rejects", "replay", imported.connection, str(path), "--json").document
    assert (again["replayed"], again["repeated"]) == (0, 2)
    table = imported.headrace("rejects", "list", imported.connection).out
    assert table.splitlines()[1].split()[-5:] == ["2", "2", "2", "0", "2"]
    [run] = [
        one
        for one in imported.headrace("runs", imported.connection, "--json").document["runs"]
        if one["files"][0]["key"] == "in/second.csv"
    ]
    assert run["files"][0]["rejects"] == {"replayed": 2, "left": 2}


def test_a_failed_import_ends_with_1_and_the_others_are_imported(imported: Installation) -> None:
    imported.put("a-headless.csv", "nobody;knows\n1;2\n")
    imported.put("b-good.csv", ROWS.replace("C1", "C8"))
    said = imported.headrace("run", imported.connection, "--here")
    assert said.code == 1
    assert "1 of 2 files imported" in said.out
    assert f"s3://{imported.bucket}/in/a-headless.csv" in said.out
    document = imported.headrace("runs", imported.connection, "--json").document
    assert [run["state"] for run in document["runs"]] == ["FAILED", "COMPLETE"]
    assert [file["state"] for file in document["runs"][0]["files"]] == ["COMPLETE", "FAILED"]


def test_run_of_what_is_not_there_or_off(installation: Installation) -> None:
    own = installation.applied()
    assert own.headrace("run", "nobody", "--json").error["code"] == "NO_SUCH_CONNECTION"
    assert own.headrace("run", own.connection, "nothing", "--json").error["code"] == "NO_SUCH_GOAL"
    assert own.headrace("scan", own.connection, "nothing", "--json").error["code"] == "NO_SUCH_GOAL"
    assert own.headrace("apply", own.connection_file(active="false")).code == 0
    inactive = own.headrace("run", own.connection, "--json")
    assert (inactive.code, inactive.error["code"]) == (1, "NO_ACTIVE_GOAL")
    assert own.headrace("apply", own.connection_file(enabled="false")).code == 0
    assert own.headrace("run", own.connection, "--json").error["code"] == "CONNECTION_OFF"


def test_run_where_the_bucket_is_missing_fails_with_a_reason(installation: Installation) -> None:
    own = installation.applied()
    assert own.headrace("apply", own.connection_file(bucket="no-such-bucket")).code == 0
    said = own.headrace("run", own.connection, "--here")
    assert said.code == 1
    assert "no-such-bucket" in said.out
    assert own.headrace("scan", own.connection).code == 1


def test_run_through_a_prefect_that_does_not_answer(installation: Installation) -> None:
    own = installation.applied()
    said = own.headrace("run", own.connection, "--json", PREFECT_API_URL=f"http://127.0.0.1:{free_port()}/api")
    assert (said.code, said.error["code"]) == (1, "PREFECT_UNAVAILABLE")


def test_runs_are_started_by_the_names_that_bootstrap_gives() -> None:
    from deployments.forms import ANY_CONNECTION
    from deployments.import_forms import RUN_CONNECTION
    from deployments.started_runs import DEPLOYMENTS

    assert [one.format(connection="crm") for one in DEPLOYMENTS] == [
        RUN_CONNECTION.deployment_name(name) for name in ("crm", ANY_CONNECTION)
    ]


def test_runs_in_both_forms(looked_at: Installation) -> None:
    said = looked_at.headrace("runs", looked_at.connection)
    assert said.code == 0
    header, row = said.out.splitlines()
    assert header.split()[:3] == ["started", "(UTC)", "connection"]
    assert row.split()[2:5] == [looked_at.connection, "all", "COMPLETE"]
    (run,) = looked_at.headrace("runs", looked_at.connection, "--json").document["runs"]
    assert run["files"][0]["rows"] == 3
    assert len(looked_at.headrace("runs", "--most", "1", "--json").document["runs"]) == 1
    assert looked_at.headrace("runs", "nobody").code == 1


def test_profile_by_value_and_by_identifier(looked_at: Installation) -> None:
    by_value = looked_at.headrace("profile", "get", looked_at.domain, "customer_id=C1", "--json").document
    assert by_value["values"] == {"customer_id": "C1", "total": "2", "last": "2026-02-02", "tags": ["a", "b", "c"]}
    said = looked_at.headrace("profile", "get", looked_at.domain, "--id", by_value["identifier"])
    assert said.code == 0
    assert f"profile {by_value['identifier']} of domain {looked_at.domain}" in said.out
    assert "a, b, c" in said.out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("customer_id=C77",), "NO_SUCH_PROFILE"),
        (("--id", "1" * 32), "NO_SUCH_PROFILE"),
        (("--id", "0" * 32), "INVALID_IDENTIFIER"),
        (("--id", "zz"), "INVALID_IDENTIFIER"),
        (("customer_id= ",), "INVALID_IDENTIFIER"),
        (("total=2",), "NO_SUCH_IDENTIFIER"),
        (("shoe_size=44",), "NO_SUCH_IDENTIFIER"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_profile_that_is_not_there(looked_at: Installation, arguments: tuple[str, ...], code: str) -> None:
    said = looked_at.headrace("profile", "get", looked_at.domain, *arguments, "--json")
    assert (said.code, said.error["code"]) == (1, code)
    assert code in said.err
    assert "C77" not in said.out + said.err


def test_without_servers_the_error_says_where_to_get_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = CommandLine(tmp_path, {"HEADRACE_REDIS_URL": f"redis://:hidden-word@127.0.0.1:{free_port()}/0"}, ("hidden-word",))
    said = nowhere("scan", "crm")
    assert said.code == 1
    assert said.err.startswith("REDIS_UNAVAILABLE\n")
    assert not said.out


def test_a_setting_that_can_not_be_read_is_named_and_not_repeated(tmp_path: Path) -> None:
    said: Said = CommandLine(tmp_path, {"HEADRACE_KAFKA_SESSION_TIMEOUT_MS": "hidden-word"}, ("hidden-word",))("runs")
    assert said.code == 1
    assert "HEADRACE_KAFKA_SESSION_TIMEOUT_MS" in said.err


@pytest.mark.parametrize("url", ["hidden-word", "redis://:hidden-word@127.0.0.1:port/0"])
def test_a_redis_url_that_is_none_is_not_repeated(tmp_path: Path, url: str) -> None:
    said = CommandLine(tmp_path, {"HEADRACE_REDIS_URL": url}, ("hidden-word",))("runs", "--json")
    assert (said.code, said.error["code"]) == (1, "REDIS_URL")


def test_worker_refuses_a_redis_that_may_lose_profiles(installation: Installation, tmp_path: Path) -> None:
    from deployments.embedded.valkey import ValkeyOptions, start_valkey

    with start_valkey(ValkeyOptions(tmp_path / "data", tmp_path / "valkey.log", free_port())) as own:
        import redis

        with redis.Redis.from_url(own.url) as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
        said = installation.headrace("worker", HEADRACE_REDIS_URL=own.url)
    assert said.code == 1
    assert "UNSAFE_REDIS" in said.err
    assert "maxmemory-policy" in said.err
