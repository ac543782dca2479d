"""What tests of exports share: a shop with an export goal, one export as a run does it, what is in its file, and what must not be left."""

from __future__ import annotations

import csv
import io
from typing import Any

from headrace.connections import Connection
from headrace.goal_choice import chosen_exports
from object_store.access import connect
from profile_store import exports, keys, registry
from streaming.exporting.close_export import close_export, settle_exports
from streaming.exporting.write_export import WrittenExport, write_export
from tests.pipeline import Pipeline
from tests.shop import as_csv, customers, purchases, shop

COLUMNS = [
    {"kind": "profile_identifier", "header": "pid"},
    {"kind": "property", "header": "id", "property": "customer_id"},
    {"kind": "property", "header": "total", "property": "total"},
    {"kind": "property", "header": "day", "property": "last"},
    {"kind": "property", "header": "tags", "property": "tags"},
    {"kind": "segments", "header": "in"},
    {"kind": "permission_level", "header": "level"},
    {"kind": "text", "header": "from", "text": "headrace"},
]


def export_goal(domain: str, **more: Any) -> dict[str, Any]:
    return {
        "kind": "export_profiles",
        "name": "Out",
        "domain": domain,
        "segment": "everyone",
        "destination": {"bucket": "crm", "directory": "out/", "file_name": "all.csv"},
        "format": {"multi_value": "|"},
        "columns": COLUMNS,
        **more,
    }


def applied(real: Pipeline, domain: str, connection: str = "crm", **more: Any) -> Connection:
    """A shop with its import goal and an export goal; `more`: of the latter."""
    goals = [{"kind": "import_profiles", "name": "Customers", **customers(domain)}, export_goal(domain, **more)]
    return real.apply_goals(shop(domain), goals, connection)


def imported(real: Pipeline, connection: Connection, domain: str, rows: int = 300) -> None:
    real.put("crm", "in/a.csv", as_csv(purchases(rows)))
    with real.workers(domain):
        [result] = real.run(connection)
    assert result.state == "COMPLETE"


def export(real: Pipeline, connection: Connection, domain: str) -> WrittenExport:
    """What a run does."""
    [goal] = chosen_exports(connection)
    settle_exports(real.context, domain, connection.name)
    written = write_export(real.context, connection, goal)
    close_export(real.store, domain, connection.name, written.export_id)
    return written


def rows_of(real: Pipeline, written: WrittenExport) -> list[dict[str, str]]:
    return rows_at(real, written.key)


def rows_at(real: Pipeline, key: str) -> list[dict[str, str]]:
    with real.objects.open_text_bytes(real.objects.head("crm", key)) as stream:
        return list(csv.DictReader(io.StringIO(stream.read().decode(), newline="")))


def nothing_is_left(real: Pipeline, domain: str, connection: str = "crm") -> None:
    """Of exports that are over."""
    assert connect(real.access, 1).list_multipart_uploads(Bucket="crm").get("Uploads", []) == []
    assert exports.open_exports(real.store, domain, connection) == []
    for partition in range(registry.get_domain(real.store, domain).partitions):
        assert not list(real.store.node_of(keys.meta(domain, partition)).scan_iter(match="*exporting-profiles*"))
