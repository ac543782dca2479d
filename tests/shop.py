"""A small shop for the integration tests: its domain, a goal, and files with many rows for few customers."""

from __future__ import annotations

import csv
import io
from typing import Any

from headrace.connections import Connection
from headrace.import_plan import ImportPlan
from profile_store import registry
from streaming.importing.plan import plan_of
from tests.pipeline import Pipeline


def shop(name: str, partitions: int = 4) -> dict[str, Any]:
    return {
        "name": name,
        "partitions": partitions,
        "properties": [
            {"name": "customer_id", "identifier": True},
            {"name": "total", "type": "number"},
            {"name": "first", "type": "date"},
            {"name": "last", "type": "date"},
            {"name": "tags", "multiple": True},
        ],
    }


def customers(domain: str, **more: Any) -> dict[str, Any]:
    return {
        "domain": domain,
        "source": {"bucket": "crm", "directory": "in/", "files": "*.csv"},
        "format": {"multi_value": "|"},
        "link": [{"column": "id", "property": "customer_id"}],
        "allow_creation": True,
        "mappings": [
            {"column": "amount", "property": "total", "rule": "sum"},
            {"column": "day", "property": "first", "rule": "set_if_empty"},
            {"column": "day", "property": "last", "rule": "set"},
            {"column": "tags", "property": "tags", "rule": "add"},
        ],
        **more,
    }


def purchases(count: int, customers_there: int = 97) -> list[dict[str, str]]:
    """Every customer has many rows; one amount in 50 is not a number."""
    return [
        {
            "id": f"C{n * 7 % customers_there}",
            "amount": "n/a" if n % 50 == 49 else f"{n % 13}.{n % 100:02d}",
            "day": f"2026-{1 + n % 12:02d}-{1 + n % 28:02d}",
            "tags": f"t{n % 5}|t{n % 3}",
        }
        for n in range(count)
    ]


def as_csv(table: list[dict[str, str]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, ["id", "amount", "day", "tags"])
    writer.writeheader()
    writer.writerows(table)
    return out.getvalue().encode()


def plan_in(real: Pipeline, connection: Connection) -> ImportPlan:
    goal = connection.import_goals[0]
    return plan_of(goal, registry.get_domain(real.store, goal.domain), connection.objectives)
