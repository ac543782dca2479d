"""What the tests of `headrace recover` share: files with several identifiers, imported into a store that is then put back to an earlier moment."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployments.embedded.valkey import ValkeyServer
from headrace.connections import Connection
from headrace.merge import Addresses, Profile, import_rows
from headrace.outcomes import Outcomes
from profile_store import counts, registry, sequence
from profile_store.registration import Registration
from streaming.importing.plan import plan_of
from streaming.importing.publish import publish_rows
from streaming.importing.register import register_import
from streaming.importing.scan import scan_goal
from tests.files import csv_bytes
from tests.pipeline import Pipeline
from tests.polling import eventually

COLUMNS = ("id", "mail", "amount")
PEOPLE = 700
PARTITIONS = 4
Table = list[dict[str, str]]


def people(name: str) -> dict[str, Any]:
    properties = [
        {"name": "customer_id", "identifier": True},
        {"name": "email", "type": "email", "identifier": True},
        {"name": "total", "type": "number"},
    ]
    return {"name": name, "partitions": PARTITIONS, "properties": properties}


def goal(domain: str, name: str, column: str) -> dict[str, Any]:
    """Linked by that column; the other identifier is bound, the amounts are added."""
    return {
        "kind": "import_profiles",
        "name": name,
        "domain": domain,
        "source": {"bucket": "crm", "directory": f"{name}/", "files": "*.csv"},
        "link": [{"column": column, "property": "customer_id" if column == "id" else "email"}],
        "allow_creation": True,
        "mappings": [{"column": "mail", "property": "email", "rule": "set"}, {"column": "amount", "property": "total", "rule": "sum"}],
    }


def goals(domain: str) -> list[dict[str, Any]]:
    return [goal(domain, "by-id", "id"), goal(domain, "by-mail", "mail")]


def table(seed: int) -> Table:
    """Two rows for each of most people; nobody contends for an address."""
    numbers = [n * 7919 % PEOPLE for n in range(seed, seed + 2 * PEOPLE)]
    return [{"id": f"C{n}", "mail": f"u{n}@example.com", "amount": f"{(n * seed) % 9}.25"} for n in numbers if n % 11 != seed]


@dataclass
class World:
    """A connection with two goals, what was imported so far, and what must come of it."""

    real: Pipeline
    server: ValkeyServer
    restart: Callable[[], ValkeyServer]
    domain: str
    connection: Connection = field(init=False)
    oracle: dict[bytes, Profile] = field(default_factory=dict)
    addresses: Addresses = field(default_factory=Addresses)
    expected: dict[int, Outcomes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.connection = self.apply()

    def apply(self) -> Connection:
        return self.real.apply_goals(people(self.domain), goals(self.domain))

    def expect(self, number: int, rows: Table) -> None:
        """`number`: of the goal. Files are expected in the order in which they are to be applied."""
        plan = plan_of(self.connection.import_goals[number], registry.get_domain(self.real.store, self.domain), self.connection.objectives)
        self.expected[len(self.expected) + 1] = import_rows(self.oracle, rows, plan, self.addresses).outcomes

    def put(self, number: int, name: str, rows: Table) -> None:
        self.real.put("crm", f"{self.connection.import_goals[number].name}/{name}", csv_bytes(rows, COLUMNS))

    def imports(self, number: int, name: str, rows: Table) -> None:
        """Put a file, expect it, and import it to its end. Workers have to run."""
        self.put(number, name, rows)
        self.expect(number, rows)
        assert [one.state for one in self.real.run(self.connection)] == ["COMPLETE"]

    def begins(self, number: int, name: str, rows: Table) -> Registration:
        """Put a file, register it and publish its rows."""
        self.put(number, name, rows)
        found = self.connection.import_goals[number]
        [scanned] = [one for one in scan_goal(self.real.context, self.connection, found) if one.wanted]
        registration = register_import(self.real.context, self.connection, found, scanned.version, "run-1")
        publish_rows(self.real.context, registration)
        return registration

    def rows_of(self, import_seq: int) -> int:
        """Rows counted so far."""
        return counts.progress(self.real.store, self.domain, PARTITIONS, import_seq).outcomes.rows

    def await_rows(self, import_seq: int, rows: int) -> None:
        eventually(lambda: self.rows_of(import_seq) >= rows, within=60, what=f"{rows} rows of import {import_seq} are applied")

    @property
    def directory(self) -> Path:
        return self.server.options.data_directory

    def backup(self) -> Path:
        """As it is on disk now, with the server running: every write is fsynced before it is answered."""
        copy = self.directory.with_name("backup")
        shutil.copytree(self.directory, copy)
        return copy

    def restore(self, copy: Path) -> None:
        self.server.kill()
        shutil.rmtree(self.directory)
        shutil.copytree(copy, self.directory)
        self.server = self.restart()

    def is_as_expected(self) -> None:
        """Profiles, identifiers, results and the ledger; and nothing more is to be done."""
        assert self.real.profiles(self.domain) == self.oracle
        holders = self.real.holders(self.domain)
        assert holders == {**{profile: profile for profile in self.oracle}, **self.addresses.pointers}
        found = {number: sequence.read_result(self.real.store, self.domain, number) for number in self.expected}
        for number, outcomes in self.expected.items():
            result = found[number]
            assert result is not None
            counted = {name: result[name] for name in outcomes.as_dict()}
            assert (result["state"], counted) == ("COMPLETE", outcomes.as_dict()), number
        assert sequence.domain_floor(self.real.store, self.domain) == len(self.expected)
        assert {one.status for goal in self.connection.import_goals for one in scan_goal(self.real.context, self.connection, goal)} == {
            "imported"
        }
