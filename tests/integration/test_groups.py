"""Groups through the real path: a group type is a domain of its own, with the same store, log and workers (SPEC G1–G5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.connection_checks import validate_against
from headrace.connections import Connection
from headrace.domains import Domain
from headrace.merge import Profile
from headrace.outcomes import Reason
from object_store.versions import ObjectVersion
from profile_store import registry
from streaming.dry_run.run import dry_run
from streaming.importing.close import ImportResult
from streaming.importing.scan import scan_goal
from streaming.look.chosen import chosen_file
from streaming.look.detect import Detected, detect_fields
from streaming.look.preview import preview_file
from tests.pipeline import Pipeline, access_to, pipeline

BUCKET = "groups"


@dataclass
class Households:
    """A domain `<name>` with households, whose merge workers run; each test has a directory, a connection and ids of its own."""

    real: Pipeline
    domain: dict[str, Any]

    @property
    def groups(self) -> str:
        return f"{self.domain['name']}~household"

    def apply(self, test: str, **goal: Any) -> Connection:
        written = {
            "kind": "import_groups",
            "id": "households",
            "name": "Households",
            "domain": self.domain["name"],
            "group_type": "household",
            "source": {"bucket": BUCKET, "directory": f"{test}/"},
            "link": [{"column": "id", "property": "household_id"}],
            **goal,
        }
        return self.real.apply_goals(self.domain, [written], test)

    def load(self, connection: Connection, name: str, text: str) -> ImportResult:
        """Put one file into the goal's directory and import what is new."""
        self.real.put(BUCKET, f"{connection.name}/{name}", text.encode())
        [result] = self.real.run(connection)
        return result

    def found(self, test: str) -> dict[str, Profile]:
        """The households whose id begins with the test's name, by the rest of it."""
        every = {str(one["household_id"]): one for one in self.real.profiles(self.groups).values()}
        return {name.removeprefix(test): one for name, one in every.items() if name.startswith(test)}


@pytest.fixture(scope="module")
def households(valkey_server: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server) -> Iterator[Households]:
    real = pipeline(valkey_server.url, tansu_server.bootstrap_servers, access_to(s3_server))
    real.make_bucket(BUCKET)
    properties = [
        {"name": "household_id", "identifier": True},
        {"name": "street"},
        {"name": "members", "type": "number"},
        {"name": "income", "type": "number"},
        {"name": "pets", "multiple": True},
        {"name": "moved", "type": "date"},
    ]
    domain: dict[str, Any] = {
        "name": "dgroups",
        "partitions": 2,
        "properties": [{"name": "customer_id", "identifier": True}],
        "group_types": [{"name": "household", "properties": properties}],
    }
    made = Households(real, domain)
    made.apply("first")  # the domain and its topics have to be there before their workers
    with real.workers(made.groups), real.workers(domain["name"]):
        yield made


@pytest.mark.spec("G1")
def test_a_goal_whose_group_type_is_not_defined_is_refused(households: Households) -> None:
    written = households.apply("unknown").model_dump(mode="json")
    written["goals"][0]["group_type"] = "company"
    connection = Connection.model_validate(written)
    domain = Domain.model_validate({"version": 1, "kind": "domain", **households.domain})
    assert [problem.path for problem in validate_against(connection, {domain.name: domain})] == [("goals", 0, "group_type")]


@pytest.mark.spec("G2")
@pytest.mark.parametrize(
    ("source", "found"),
    [
        ({}, ["a.csv", "b.txt", "c-2026.csv"]),
        ({"files": "*.csv"}, ["a.csv", "c-2026.csv"]),
        ({"files": "**.csv"}, ["a.csv", "below/d.csv", "c-2026.csv"]),
        ({"regex": r"[a-z]-\d{4}\.csv"}, ["c-2026.csv"]),
        ({"regex": r".*/.*"}, ["below/d.csv"]),
    ],
)
def test_files_are_all_of_the_directory_or_those_of_a_pattern(households: Households, source: dict[str, str], found: list[str]) -> None:
    for name in ("a.csv", "b.txt", "c-2026.csv", "below/d.csv"):
        households.real.put(BUCKET, f"files/{name}", b"id\n1\n")
    connection = households.apply("files", source={"bucket": BUCKET, "directory": "files/", **source})

    scanned = scan_goal(households.real.context, connection, connection.import_goals[0])

    assert sorted(one.version.key.removeprefix("files/") for one in scanned) == found
    assert {one.status for one in scanned} == {"new"}


@pytest.mark.spec("G2")
def test_an_expression_that_would_take_for_ever_elsewhere_is_read_in_linear_time(households: Households) -> None:
    """In a backtracking engine this one takes 2 to the power of 120 steps for this key."""
    households.real.put(BUCKET, f"evil/{'a' * 120}!", b"id\n1\n")
    connection = households.apply("evil", source={"bucket": BUCKET, "directory": "evil/", "regex": "(a+)+"})
    assert scan_goal(households.real.context, connection, connection.import_goals[0]) == []


@pytest.mark.spec("G3", "I6", "I7", "I8", "I9")
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_files_and_fields_are_read_as_those_of_profiles(households: Households, separator: str) -> None:
    test = f"fields{ord(separator)}"
    connection = households.apply(
        test,
        allow_creation=True,
        format={"separator": separator, "decimal": ",", "multi_value": "|", "date_format": "%d.%m.%Y"},
        mappings=[
            {"column": "income", "property": "income"},
            {"column": "pets", "property": "pets", "rule": "add"},
            {"column": "moved", "property": "moved"},
        ],
    )
    rows = [("id", "income", "pets", "moved"), (f"{test}1", '"1234,50"', "cat|dog", "31.01.2026"), (f"{test}2", '"€5"', "", "")]

    result = households.load(connection, "a.csv", "".join(separator.join(row) + "\n" for row in rows))

    assert (result.outcomes.created, result.outcomes.cells) == (2, 1), "a currency sign is no part of a number"
    assert households.found(test) == {
        "1": {"household_id": f"{test}1", "income": "1234.5", "pets": ("cat", "dog"), "moved": "2026-01-31"},
        "2": {"household_id": f"{test}2"},
    }


@pytest.mark.spec("G4", "R4")
def test_rows_that_match_no_group_are_excluded_and_counted_unless_creation_is_allowed(households: Households) -> None:
    test = "excluded"
    mappings = [{"column": "street", "property": "street"}]
    makes = households.apply(test, allow_creation=True, mappings=mappings)
    assert households.load(makes, "a.csv", f"id,street\n{test}1,High Street\n").outcomes.created == 1

    only_known = households.apply(test, mappings=mappings, on_change="skip")
    result = households.load(only_known, "b.csv", f"id,street\n{test}1,Low Street\n{test}2,Nowhere\n{test}3,Nowhere\n")

    assert result.outcomes.as_dict() == {"created": 0, "updated": 1, "unchanged": 0, "skipped": 2, "rejected": 0, "cells": 0}
    assert households.found(test) == {"1": {"household_id": f"{test}1", "street": "Low Street"}}


@pytest.mark.spec("G5", "M4", "M5", "M6", "M7")
def test_the_four_rules_work_on_group_properties(households: Households) -> None:
    test = "rules"
    connection = households.apply(
        test,
        allow_creation=True,
        format={"multi_value": "|"},
        mappings=[
            {"column": "street", "property": "street", "rule": "set"},
            {"column": "members", "property": "members", "rule": "set_if_empty"},
            {"column": "pets", "property": "pets", "rule": "add"},
            {"column": "income", "property": "income", "rule": "sum"},
        ],
    )
    text = f"id,street,members,pets,income\n{test}1,First,2,cat,0.1\n{test}1,Second,3,cat|dog,0.2\n"

    assert households.load(connection, "a.csv", text).outcomes.created == 1

    assert households.found(test) == {
        "1": {"household_id": f"{test}1", "street": "Second", "members": "2", "pets": ("cat", "dog"), "income": "0.3"}
    }


@pytest.mark.spec("G5", "M8", "M9")
def test_a_mapping_without_a_property_makes_one_with_the_prefix_in_the_group_type_alone(households: Households) -> None:
    test = "prefixed"
    connection = households.apply(test, allow_creation=True, prefix="crm_", mappings=[{"column": "colour"}])

    households.load(connection, "a.csv", f"id,colour\n{test}1,blue\n")

    assert households.found(test) == {"1": {"household_id": f"{test}1", "crm_colour": "blue"}}
    of_profiles = registry.get_domain(households.real.store, households.domain["name"])
    assert of_profiles.schema.find("crm_colour") is None


@pytest.mark.spec("G5", "I2")
def test_a_group_and_a_profile_with_one_id_are_two(households: Households) -> None:
    test, name = "apart", households.domain["name"]
    profiles = {
        "kind": "import_profiles",
        "id": "people",
        "name": "People",
        "domain": name,
        "source": {"bucket": BUCKET, "directory": f"{test}/people/"},
        "link": [{"column": "id", "property": "customer_id"}],
        "allow_creation": True,
    }
    groups = households.apply(test, source={"bucket": BUCKET, "directory": f"{test}/homes/"}, allow_creation=True).goals[0]
    connection = households.real.apply_goals(households.domain, [profiles, groups.model_dump(mode="json")], test)
    for directory in ("people", "homes"):
        households.real.put(BUCKET, f"{test}/{directory}/a.csv", f"id\n{test}1\n".encode())

    results = households.real.run(connection)

    assert [(one.registration.domain, one.outcomes.created) for one in results] == [(name, 1), (households.groups, 1)]
    assert households.found(test) == {"1": {"household_id": f"{test}1"}}
    people = [one for one in households.real.profiles(name).values() if one["customer_id"] == f"{test}1"]
    assert people == [{"customer_id": f"{test}1"}]


@pytest.mark.spec("G3", "I5", "I9")
def test_a_file_of_groups_is_previewed_as_its_import_reads_it(households: Households) -> None:
    test = "previewed"
    connection = households.apply(
        test,
        format={"separator": ";", "decimal": ",", "multi_value": "|", "date_format": "%d.%m.%Y"},
        mappings=[
            {"column": "income", "property": "income"},
            {"column": "pets", "property": "pets", "rule": "add"},
            {"column": "moved", "property": "moved"},
        ],
    )
    households.real.put(BUCKET, f"{test}/a.csv", b"id;income;pets;moved\nH1;1234,50;cat|dog;31.01.2026\nH2;\xe2\x82\xac5;;2026-01-31\n")

    context, version = households.real.context, chosen(households, connection)
    seen = preview_file(context, connection, connection.import_goals[0], version, 100, 10)

    income, pets, moved = seen.mappings[1:]
    assert (income.values, income.rejected) == ({"1234,50": "1234.5"}, {Reason.NOT_A_NUMBER: 1})
    assert pets.values == {"cat|dog": ("cat", "dog")}
    assert (moved.values, moved.refused) == ({"31.01.2026": "2026-01-31"}, {"2026-01-31": Reason.NOT_A_DATE})
    assert households.found(test) == {}


@pytest.mark.spec("G5", "M8", "M9")
def test_all_columns_of_a_file_of_groups_are_mapped_at_once_with_a_prefix(households: Households) -> None:
    test = "detected"
    connection = households.apply(test, allow_creation=True)
    households.real.put(BUCKET, f"{test}/a.csv", f"id,rooms,street\n{test}1,3,High Street\n".encode())

    found = detected(households, connection)
    assert [(one.column, one.target, one.type) for one in found.fields] == [
        ("rooms", "crm_rooms", "number"),
        ("street", "crm_street", "text"),
    ]
    mapped = households.apply(test, allow_creation=True, mappings=yaml.safe_load(found.yaml))

    [change] = dry_run(households.real.context, mapped, mapped.import_goals[0], chosen(households, mapped)).profiles
    households.real.run(mapped)

    assert households.found(test) == {"1": {"household_id": f"{test}1", "crm_rooms": "3", "crm_street": "High Street"}}
    assert (change.before, change.after) == (None, households.found(test)["1"])
    again = households.apply(test, allow_creation=True)
    existing = detected(households, again)
    assert [one.warnings[0] for one in existing.fields] == [f"property '{one.target}' already holds values" for one in existing.fields]


def chosen(households: Households, connection: Connection) -> ObjectVersion:
    return chosen_file(households.real.context, connection, connection.import_goals[0], "")


def detected(households: Households, connection: Connection) -> Detected:
    return detect_fields(households.real.context, connection, connection.import_goals[0], chosen(households, connection), 100, "crm_")
