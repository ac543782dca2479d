"""Exported, imported into an empty domain, exported again, on real servers: the property columns are byte-equal (SPEC E5, E6, E9).

Every combination of settings goes the same way in memory: tests/unit/test_export_every_setting.py.
"""

from __future__ import annotations

import csv
import gzip
import io
from typing import Any

import pytest

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.connections import Connection
from object_store.access import connect
from tests.integration.exported import export, export_goal
from tests.pipeline import Pipeline, access_to, pipeline
from tests.segmented import make_segment

PROPERTIES: list[dict[str, Any]] = [
    {"name": "id", "identifier": True},
    {"name": "mail", "type": "email", "identifier": True},
    {"name": "amount", "type": "number"},
    {"name": "born", "type": "date"},
    {"name": "seen", "type": "datetime"},
    {"name": "ok", "type": "boolean"},
    {"name": "note"},
    {"name": "tags", "multiple": True},
    {"name": "scores", "type": "number", "multiple": True},
]
HEADERS = {one["name"]: f'the "{one["name"]}"; {number},' for number, one in enumerate(PROPERTIES)}
OTHER = {
    **{"separator": ";", "decimal": ",", "multi_value": "|", "compression": "gzip", "time_zone": "America/Sao_Paulo"},
    **{"date_format": "%d/%m/%Y", "datetime_format": "%d.%m.%Y %H:%M:%S.%f%z"},
}
ROWS = 300


def people() -> bytes:
    """Some cells of each kind are blank; texts hold what has a meaning in CSV, in either format."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([one["name"] for one in PROPERTIES])
    texts = ("", 'say "x"', "a,b;c", "two\r\nlines", "=1+1", "-5", "é'", '"')
    for n in range(ROWS):
        mail, amount = f"p{n}@example.com" if n % 3 else "", f"{'-' * (n % 2)}{n}.{n % 7}5" if n % 5 else ""
        born, seen = f"20{n % 90 + 10}-0{n % 9 + 1}-28" if n % 4 else "", f"2026-03-29 0{n % 10}:30:{n % 60:02d}" if n % 6 else ""
        listed = (f"t{n % 9}/it's {texts[n % 7]}", f"{n}.5/-{n % 8}/0")
        writer.writerow([f"C{n}", mail, amount, born, seen, ("true", "false", "")[n % 3], texts[n % 8], *(listed if n % 7 else ("", ""))])
    return out.getvalue().encode()


@pytest.fixture
def real(valkey: ValkeyServer, tansu_server: BrokerServer, empty_s3: S3Server) -> Pipeline:
    made = pipeline(valkey.url, tansu_server.bootstrap_servers, access_to(empty_s3))
    made.make_bucket("crm")
    return made


def connected(
    real: Pipeline, domain: str, directory: str, columns: dict[str, str], read: dict[str, Any], written: dict[str, Any]
) -> Connection:
    """Imports `directory` in one format, and exports to `<domain>/` in another. `columns`: property → header in what is imported."""
    importing = {
        "kind": "import_profiles",
        "name": "In",
        "domain": domain,
        "source": {"bucket": "crm", "directory": directory, "files": "*"},
        "format": {name: value for name, value in read.items() if name != "compression"},
        "link": [{"column": columns["id"], "property": "id"}],
        "allow_creation": True,
        "mappings": [{"column": columns[one["name"]], "property": one["name"]} for one in PROPERTIES[1:]],
    }
    exported = [{"kind": "property", "header": HEADERS[one["name"]], "property": one["name"]} for one in PROPERTIES]
    exporting = export_goal(
        domain, destination={"bucket": "crm", "directory": f"{domain}/", "file_name": "all"}, format=written, columns=exported
    )
    return real.apply_goals({"name": domain, "partitions": 4, "properties": PROPERTIES}, [importing, exporting], domain)


def through(real: Pipeline, connection: Connection, domain: str) -> bytes:
    """What is imported, exported again."""
    with real.workers(domain):
        [result] = real.run(connection)
    assert (result.outcomes.created, result.outcomes.rejected, result.outcomes.cells) == (ROWS, 0, 0)
    make_segment(real.store, domain, "everyone", of="id")
    written = export(real, connection, domain)
    assert (written.exported, written.left_out) == (ROWS, {})
    data: bytes = connect(real.access, 1).get_object(Bucket="crm", Key=written.key)["Body"].read()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


@pytest.mark.spec("E5", "E6", "E9")
def test_what_was_exported_imports_into_an_empty_domain_and_is_exported_again_byte_by_byte(real: Pipeline, domain_name: str) -> None:
    real.put("crm", "in/people.csv", people())
    first_domain, second_domain = f"{domain_name}a", f"{domain_name}b"
    columns = {name: name for name in HEADERS}
    first = through(real, connected(real, first_domain, "in/", columns, {"multi_value": "/"}, OTHER), first_domain)
    second = through(real, connected(real, second_domain, f"{first_domain}/", HEADERS, OTHER, OTHER), second_domain)
    assert sorted(second.split(b"\n")) == sorted(first.split(b"\n"))
    assert by_id(real, first_domain) == by_id(real, second_domain), "equal typed values"
    assert next(iter(csv.reader(io.StringIO(second.decode(), newline=""), delimiter=";"))) == list(HEADERS.values())


def by_id(real: Pipeline, domain: str) -> dict[str, Any]:
    return {str(values["id"]): values for values in real.profiles(domain).values()}
