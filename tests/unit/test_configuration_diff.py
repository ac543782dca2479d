"""What `apply` says would change, field by field (SPEC C3)."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.configuration_diff import connection_differences
from headrace.connections import Connection

GOAL: dict[str, Any] = {
    "kind": "import_profiles",
    "id": "customers",
    "name": "Customers",
    "domain": "retail",
    "source": {"bucket": "crm-files", "files": "*.csv"},
    "link": [{"column": "id", "property": "customer_id"}],
    "mappings": [{"column": "tier", "property": "tier"}, {"column": "points", "property": "points"}],
}


def connection(*goals: dict[str, Any], **more: Any) -> Connection:
    return Connection.model_validate({"version": 1, "kind": "connection", "name": "crm", "goals": list(goals), **more})


def said(stored: Connection | None, written: Connection) -> list[tuple[str, str]]:
    return [(one.what, str(one)) for one in connection_differences(stored, written)]


@pytest.mark.spec("C3")
def test_each_changed_field_is_told_with_both_values() -> None:
    changed = {
        **GOAL,
        "name": "Clients",
        "active": False,
        "source": {"bucket": "crm-files", "files": "*.txt"},
        "mappings": [{"column": "points", "property": "points", "rule": "sum"}, {"column": "mail", "property": "email"}],
    }
    assert said(connection(GOAL), connection(changed, enabled=False, labels=["nightly"])) == [
        ("changed", "enabled: true → false"),
        ("changed", 'labels: [] → ["nightly"]'),
        ("changed", "goal customers: name: Customers → Clients"),
        ("changed", "goal customers: active: true → false"),
        ("changed", "goal customers: source.files: *.csv → *.txt"),
        ("changed", "goal customers: mappings[tier]: removed"),
        ("changed", "goal customers: mappings[points].rule: set → sum"),
        ("changed", "goal customers: mappings[email]: added"),
    ]


@pytest.mark.spec("C3")
def test_goals_are_known_by_their_ids() -> None:
    """A rename changes a name; another id is another goal."""
    other = {**GOAL, "id": "clients"}
    assert said(connection(GOAL), connection(other)) == [("removed", "goal customers: removed"), ("created", "goal clients: created")]
    assert said(connection(GOAL, other), connection(other, GOAL)) == [
        ("changed", 'order of goals: ["customers", "clients"] → ["clients", "customers"]')
    ]


def test_nothing_differs_where_all_is_equal() -> None:
    assert said(None, connection(GOAL)) == [("created", "created")]
    assert said(connection(GOAL), connection(GOAL)) == []
    swapped = {**GOAL, "mappings": list(reversed(GOAL["mappings"]))}
    assert said(connection(GOAL), connection(swapped)) == [("changed", "goal customers: mappings: in another order")]
