"""Cells that can't be read, of every type, through the real path: each is rejected by line, column and code, and the rest of its row is imported."""

from __future__ import annotations

import csv
import io
import uuid

import pytest

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.outcomes import MESSAGES, Reason
from streaming.importing.reject_lines import CODE, COLUMN, LINE, MESSAGE
from tests.bad_inputs import CELL_DOMAIN, CELL_FORMAT, CELLS
from tests.pipeline import access_to, pipeline

COLUMNS = ["id", "said", *(str(one["name"]) for one in CELL_DOMAIN[1:])]
RULES = {"total": "sum", "scores": "add"}


@pytest.mark.spec("I7", "I8", "I9", "M7", "M10", "M11", "R4")
def test_a_bad_cell_costs_itself_alone(valkey: ValkeyServer, tansu_server: BrokerServer, empty_s3: S3Server, domain_name: str) -> None:
    real = pipeline(valkey.url, tansu_server.bootstrap_servers, access_to(empty_s3))
    bucket = f"b{uuid.uuid4().hex[:10]}"
    real.make_bucket(bucket)
    connection = real.apply(
        {"name": domain_name, "partitions": 2, "properties": [*CELL_DOMAIN, {"name": "said"}]},
        {
            "domain": domain_name,
            "source": {"bucket": bucket, "directory": "in/", "files": "*"},
            "format": CELL_FORMAT,
            "link": [{"column": "id", "property": "customer_id"}],
            "allow_creation": True,
            "mappings": [{"column": name, "property": name, "rule": RULES.get(name, "set")} for name in COLUMNS[1:]],
        },
    )
    rows = [{"id": f"C{place}", "said": f"row {place}", one.column: one.text} for place, one in enumerate(CELLS)]
    with real.workers(domain_name):
        real.put(
            bucket,
            "in/a.csv",
            written([{"id": "holder", "phone": "taken", "said": "holds it"}, *({"id": row["id"], "total": "1"} for row in rows)]),
        )
        [before] = real.run(connection)
        real.put(bucket, "in/b.csv", written(rows))
        [result] = real.run(connection)
    assert before.outcomes.cells == 0
    with real.objects.open(real.objects.head(bucket, str(result.rejects_key))) as stream:
        lines = list(csv.reader(io.StringIO(stream.readall().decode("utf-8-sig"), newline="")))[1:]
    expected = [(str(2 + place), one.column, one.code, MESSAGES[Reason(one.code)]) for place, one in enumerate(CELLS)]
    assert [(line[LINE], line[COLUMN], line[CODE], line[MESSAGE]) for line in lines] == expected
    assert result.outcomes.rejected == 0
    found = {str(one["customer_id"]): one for one in real.profiles(domain_name).values()}
    for row, one in zip(rows, CELLS, strict=True):
        assert found[row["id"]]["said"] == f"row {row['id'][1:]}"
        assert found[row["id"]].get(one.column) == ("1" if one.column == "total" else None)


def written(rows: list[dict[str, str]]) -> bytes:
    out = io.StringIO(newline="")
    table = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return out.getvalue().encode()
