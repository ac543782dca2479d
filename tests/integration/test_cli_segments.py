"""`headrace segment …` on a real store: counts, members, membership, estimates, snapshots, building, proving, deleting (SPEC S5, S6, S7)."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.orc
import pytest
from typer.testing import CliRunner

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.cli.app import app
from headrace.settings import UploadSettings
from profile_store import audit, registry
from tests.integration.exported import export_goal
from tests.pipeline import Pipeline, access_to, pipeline
from tests.segmented import define_segment
from tests.shop import as_csv, customers, shop
from tests.uploaded import Uploads

Run = Callable[..., Any]

RICH = """version: 1
kind: segment
domain: {domain}
name: rich
display_name: Spend much
groups:
  - dimensions:
      - {{property: total, comparison: greater_than_or_equal, values: ["{least}"]}}
"""

OWNERS = """version: 1
kind: segment
domain: {domain}
name: owners
groups:
  - dimensions:
      - {{property: AccountNumber, comparison: inclusive, values: [A1, A2, A30]}}
"""


@pytest.fixture
def real(valkey: ValkeyServer, tansu_server: BrokerServer, empty_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    made = pipeline(valkey.url, tansu_server.bootstrap_servers, access_to(empty_s3))
    for name, value in made.environment().items():
        if name.startswith("HEADRACE_") and value:
            monkeypatch.setenv(name, value)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    made.make_bucket("crm")
    return made


def command(*words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


@pytest.mark.spec("S5", "S6", "S7")
def test_a_segment_from_its_file_to_its_snapshots(real: Pipeline, domain_name: str, tmp_path: Path) -> None:
    connection = real.apply(shop(domain_name), customers(domain_name))
    real.put("crm", "in/a.csv", as_csv(purchases_of(40)))
    with real.workers(domain_name):
        assert [one.state for one in real.run(connection)] == ["COMPLETE"]
    profiles = real.profiles(domain_name)

    def rich(least: int) -> set[str]:
        return {one.hex() for one, values in profiles.items() if float(str(values.get("total", "-1"))) >= least}

    file = tmp_path / "rich.yaml"
    file.write_text(RICH.format(domain=domain_name, least=20))
    said = command("segment", "estimate", str(file))
    assert said == {"domain": domain_name, "members": len(rich(20)), "exact": True, "looked_at": len(profiles)}
    about = command("segment", "estimate", str(file), "--sample", "10")
    assert not about["exact"]
    assert 5 <= about["looked_at"] <= 20
    assert about["members"] <= len(profiles)
    file.write_text(RICH.format(domain=domain_name, least=-1_000))
    everybody = command("segment", "estimate", str(file), "--sample", "10")
    assert (everybody["members"], everybody["exact"]) == (len(profiles), False)
    file.write_text(RICH.format(domain=domain_name, least=20))

    applied = command("apply", str(file), "--yes")
    assert (applied["changes"], applied["to_build"]) == ([f"segment {domain_name}/rich: created"], [f"{domain_name}/rich"])
    said = CliRunner().invoke(app, ["apply", str(file), "--yes"]).output
    assert f"to be built: segment rich of domain {domain_name}; the deployment materialize-segments does it by itself" in said
    assert f"headrace segment materialize {domain_name}" in said
    assert command("segment", "list", domain_name)["segments"] == [{"name": "rich", "members": None, "state": "to be built"}]
    error = command("segment", "count", domain_name, "rich", code=1)["error"]
    assert (error["code"], error["message"]) == (
        "SEGMENT_NOT_READY",
        f"Segment rich of domain {domain_name} has not been materialized yet.",
    )
    assert command("segment", "materialize", domain_name)["built"] == ["rich"]
    assert command("apply", str(file), "--yes")["to_build"] == []
    assert command("segment", "count", domain_name, "rich")["members"] == len(rich(20))
    assert command("segment", "prove", domain_name)["members"] == {"rich": len(rich(20))}

    found = command("segment", "members", domain_name, "rich", "--most", "100")["members"]
    assert {one["identifier"] for one in found} == rich(20)
    somebody, nobody = sorted(rich(20))[0], sorted({one.hex() for one in profiles} - rich(20))[0]
    asked = command("segment", "membership", domain_name, "rich", somebody, nobody, "1" * 32)
    assert asked["members"] == {somebody: True, nobody: False, "1" * 32: None}

    rows: dict[str, list[dict[str, Any]]] = {}
    for kind in ("csv", "jsonl", "orc"):
        assert command("segment", "snapshot", domain_name, "rich", f"s3://crm/out/rich.{kind}")["members"] == len(rich(20))
        with real.objects.open(real.objects.head("crm", f"out/rich.{kind}")) as stream:
            data = stream.readall()
        if kind == "csv":
            rows[kind] = [{**one, "tags": one["tags"].split("|")} for one in csv.DictReader(io.StringIO(data.decode(), newline=""))]
        elif kind == "jsonl":
            rows[kind] = [json.loads(line) for line in data.splitlines()]
        else:
            rows[kind] = pyarrow.orc.ORCFile(pa.BufferReader(data)).read().to_pylist()
    assert rows["csv"] == rows["jsonl"] == rows["orc"]
    written = {one.pop("profile_identifier"): one for one in rows["orc"]}
    expected = {one.hex(): values for one, values in profiles.items() if one.hex() in rich(20)}
    assert written == {
        one: {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()} for one, values in expected.items()
    }

    file.write_text(RICH.format(domain=domain_name, least=30))
    assert "who is in it" in command("apply", str(file), "--yes")["changes"][0]
    assert command("segment", "count", domain_name, "rich")["members"] == len(rich(20))
    command("segment", "materialize", domain_name)
    assert command("segment", "count", domain_name, "rich")["members"] == len(rich(30))
    command("segment", "delete", domain_name, "rich")
    assert command("segment", "list", domain_name)["segments"] == []
    assert command("segment", "count", domain_name, "rich", code=1)["error"]["code"] == "NO_SUCH_SEGMENT"
    assert registry.has_profiles(real.store, registry.get_domain(real.store, domain_name))


def made_of_rich(domain: str, tmp_path: Path) -> tuple[Path, Path]:
    """Files of a segment `rich`, and of `richer`, which is made of it."""
    files = tmp_path / "rich.yaml", tmp_path / "richer.yaml"
    files[0].write_text(RICH.format(domain=domain, least=20))
    files[1].write_text(
        json.dumps({"version": 1, "kind": "segment", "domain": domain, "name": "richer", "groups": [{"source_segments": ["rich"]}]})
    )
    return files


@pytest.mark.spec("S1", "B6")
def test_a_deletion_that_is_refused_is_not_in_the_audit_trail(real: Pipeline, domain_name: str, tmp_path: Path) -> None:
    real.apply(shop(domain_name), customers(domain_name))
    command("apply", *map(str, made_of_rich(domain_name, tmp_path)), "--yes")
    [applied] = audit.read(real.store, most=1)
    assert "richer is made of it" in command("segment", "delete", domain_name, "rich", code=1)["error"]["message"]
    assert command("recover", "nowhere", code=1)["error"]["code"] == "NO_SUCH_DOMAIN"
    assert audit.read(real.store, most=1) == [applied]
    command("segment", "delete", domain_name, "richer")
    command("segment", "delete", domain_name, "rich")
    assert [(one.what, one.about) for one in audit.read(real.store, most=2)] == [
        ("delete", f"segment {domain_name}/rich"),
        ("delete", f"segment {domain_name}/richer"),
    ]


@pytest.mark.spec("S5")
def test_to_materialize_what_can_not_be_built_yet_is_no_success(real: Pipeline, domain_name: str) -> None:
    """The change of a segment waits for its turn behind imports."""
    real.apply(shop(domain_name), customers(domain_name))
    assert command("segment", "materialize", domain_name) == {"domain": domain_name, "built": [], "waiting": [], "profiles": 0}
    define_segment(real.store, domain_name, "later")
    assert command("segment", "materialize", domain_name, code=1)["waiting"] == ["later"]
    done = CliRunner().invoke(app, ["segment", "materialize", domain_name])
    assert (done.exit_code, "still to be built" in " ".join(done.output.split())) == (1, True)


@pytest.mark.spec("E1")
def test_an_export_of_a_segment_that_nobody_defined_is_warned_of(real: Pipeline, domain_name: str, tmp_path: Path) -> None:
    """By `check`, of the files alone too, and by `apply`; neither fails: the segment may be applied later."""
    files = tmp_path / "shop.yaml", tmp_path / "exports.yaml", tmp_path / "rich.yaml"
    files[0].write_text(json.dumps({"version": 1, "kind": "domain", **shop(domain_name)}))
    columns = [{"kind": "segments", "header": "in", "segments": ["rich", "poor"]}]
    goal = export_goal(domain_name, segment="rich", columns=columns)
    files[1].write_text(json.dumps({"version": 1, "kind": "connection", "name": domain_name, "goals": [goal]}))
    files[2].write_text(RICH.format(domain=domain_name, least=20))

    def warned(*words: str) -> list[str]:
        return [one for one in command(*words)["warnings"] if "NO_SUCH_SEGMENT" in one]

    first, second, third = map(str, files)
    nowhere = f"of domain {domain_name} is not in these files, nor in the installation"
    where = f"connection {domain_name}, goal out: segment"
    assert [one.partition(";")[0] for one in warned("check", first, second)] == [f"{where} {name} {nowhere}" for name in ("rich", "poor")]
    assert [one.partition(";")[0] for one in warned("check", first, second, third)] == [f"{where} poor {nowhere}"]
    assert len(warned("apply", first, second, "--yes")) == 2
    assert len(warned("apply", second, third, "--yes")) == 1
    assert len(warned("check", second)) == 1, "one is in the installation"
    with pytest.MonkeyPatch.context() as alone:
        for name in [one for one in os.environ if one.startswith("HEADRACE_REDIS_")]:
            alone.delenv(name)
        [said, _] = warned("check", first, second)
    assert said == f"{where} rich of domain {domain_name} is not in these files; the goal fails with NO_SUCH_SEGMENT until it is applied."


def purchases_of(people: int) -> list[dict[str, str]]:
    return [
        {"id": f"C{n % people}", "amount": str(n % 17), "day": f"2026-01-{1 + n % 28:02d}", "tags": f"t{n % 5}|t{n % 3 + 7}"}
        for n in range(people * 3)
    ]


@pytest.mark.spec("B7", "S5", "U4")
def test_a_segment_of_what_an_upload_makes_an_identifier_is_computed_anew(real: Pipeline, domain_name: str, tmp_path: Path) -> None:
    uploads = Uploads(real, domain_name, UploadSettings(bucket="crm"))
    uploads.make_domain()
    file = tmp_path / "owners.yaml"
    file.write_text(OWNERS.format(domain=domain_name))
    command("apply", str(file), "--yes")
    with real.workers(domain_name):
        assert uploads.run(uploads.started(uploads.rows(9))).results["CreatedRecords"] == 9
        assert command("segment", "materialize", domain_name)["built"] == ["owners"]
        assert command("segment", "count", domain_name, "owners")["members"] == 2
        assert command("segment", "prove", domain_name)["drifts"] == []
        assert command("segment", "materialize", domain_name)["built"] == []
        assert uploads.run(uploads.started(uploads.rows(3))).results["UpdatedRecords"] == 3
    assert command("segment", "count", domain_name, "owners")["members"] == 2
