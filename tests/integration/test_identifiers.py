"""Several identifiers of one profile, through the real path: claims, pointers, conflicts, rows linked by another identifier (SPEC M1, M10)."""

from __future__ import annotations

import random
from typing import Any

import pytest

from deployments.embedded.s3 import S3Server
from headrace.connections import Connection
from headrace.merge import Addresses, Profile, import_rows
from profile_store import keys, registry
from streaming.importing.plan import plan_of
from tests.files import csv_bytes
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually
from tests.servers.valkey import RedisTarget

COLUMNS = ("id", "mail", "phone", "amount", "tier")


@pytest.fixture
def real(redis_target: RedisTarget, kafka_bootstrap_servers: str, empty_s3: S3Server) -> Pipeline:
    made = pipeline(redis_target.url, kafka_bootstrap_servers, access_to(empty_s3), cluster=redis_target.cluster)
    made.make_bucket("crm")
    return made


def people(name: str, partitions: int = 5) -> dict[str, Any]:
    return {
        "name": name,
        "partitions": partitions,
        "properties": [
            {"name": "customer_id", "identifier": True},
            {"name": "email", "type": "email", "identifier": True},
            {"name": "phone", "identifier": True},
            {"name": "total", "type": "number"},
            {"name": "tier"},
        ],
    }


def goal(domain: str, name: str, link: list[dict[str, str]], **rules: str) -> dict[str, Any]:
    linked = {"id": "customer_id", "mail": "email", "phone": "phone", "amount": "total", "tier": "tier"}
    return {
        "kind": "import_profiles",
        "name": name,
        "domain": domain,
        "source": {"bucket": "crm", "directory": f"{name}/", "files": "*.csv"},
        "link": link,
        "allow_creation": True,
        "mappings": [{"column": column, "property": linked[column], "rule": rule} for column, rule in rules.items()],
    }


class Story:
    """Imports one after the other, into the store and into the oracle."""

    def __init__(self, real: Pipeline, domain: str, goals: list[dict[str, Any]]) -> None:
        self.real, self.domain = real, domain
        self.profiles: dict[bytes, Profile] = {}
        self.addresses = Addresses()
        self.connection: Connection = real.apply_goals(people(domain), goals)

    def imports(self, number: int, table: list[dict[str, str]]) -> None:
        """Import a file of the goal of that number, by workers that run, and compare everything with the oracle."""
        goal = self.connection.import_goals[number]
        self.real.put("crm", f"{goal.name}/a.csv", csv_bytes(table, COLUMNS))
        results = self.real.run(self.connection)
        plan = plan_of(goal, registry.get_domain(self.real.store, self.domain), ())
        holders = self.real.holders(self.domain)
        expected = import_rows(self.profiles, table, plan, self.addresses, holders)
        assert [(result.state, result.outcomes) for result in results] == [("COMPLETE", expected.outcomes)]
        assert self.real.profiles(self.domain) == self.profiles
        assert holders == {**{profile: profile for profile in self.profiles}, **self.addresses.pointers}
        self.nothing_is_left()

    def nothing_is_left(self) -> None:
        """No message waits in an outbox once its receiver has it on disk."""
        for partition in range(registry.get_domain(self.real.store, self.domain).partitions):
            key = keys.outbox(self.domain, partition)
            node = self.real.store.node_of(key)
            eventually(lambda: node.hlen(key) == 0, within=10, what=f"the outbox of partition {partition} is empty")  # noqa: B023


@pytest.mark.spec("M1", "M10")
def test_files_linked_by_different_identifiers_of_the_same_people(real: Pipeline, domain_name: str, request: pytest.FixtureRequest) -> None:
    rnd = random.Random(request.node.name)  # other people on each store and broker
    story = Story(
        real,
        domain_name,
        [
            goal(domain_name, "first", [{"column": "id", "property": "customer_id"}], mail="set", phone="set_if_empty", amount="sum"),
            goal(domain_name, "second", [{"column": "mail", "property": "email"}], amount="sum", tier="set"),
            goal(domain_name, "third", [{"column": "id", "property": "customer_id"}], mail="set", phone="set", amount="sum"),
        ],
    )
    ids = [f"C{n}" for n in range(300)]
    everybody = [
        {"id": one, "mail": f"u{n % 280}@example.com", "phone": f"+351{n % 290}" if n % 3 else "", "amount": f"{n % 7}.5", "tier": ""}
        for n, one in enumerate(ids)
    ]
    rnd.shuffle(everybody)
    by_mail = [{"id": "", "mail": f"u{n}@example.com", "phone": "", "amount": "2", "tier": "gold"} for n in range(300)]
    rnd.shuffle(by_mail)
    again = [
        {
            "id": rnd.choice(ids),
            "mail": rnd.choice(["", f"u{rnd.randrange(400)}@example.com"]),
            "phone": rnd.choice(["", f"+351{rnd.randrange(400)}"]),
            "amount": str(rnd.randrange(9)),
            "tier": "",
        }
        for _ in range(900)
    ]
    with real.workers(domain_name, 2):
        for number, table in enumerate((everybody, by_mail, again)):
            story.imports(number, table)
