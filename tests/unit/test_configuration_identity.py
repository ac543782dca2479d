"""SPEC I10: a file is imported again where the configuration changed in what affects the result, and only there."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from headrace.configuration_identity import configuration_identity
from headrace.domains import Domain, Property
from headrace.formats import FileFormat
from headrace.goals import ImportGoal, ImportGroupsGoal, ImportProfilesGoal
from headrace.mappings import Link, Mapping
from headrace.schema import initial_schema
from headrace.sources import Source
from streaming.importing.plan import judged_objectives

pytestmark = pytest.mark.spec("I10")

DOMAIN = Domain(
    version=1,
    kind="domain",
    name="retail",
    properties=(
        Property(name="id", identifier=True),
        Property(name="email", type="email", identifier=True),
        Property(name="tier"),
        Property(name="points", type="number"),
    ),
)
SCHEMA = initial_schema(DOMAIN)

GOAL: dict[str, Any] = {
    "kind": "import_profiles",
    "id": "customers",
    "name": "Customers",
    "active": True,
    "domain": "retail",
    "source": {"bucket": "crm", "directory": "in/", "files": "*.csv"},
    "format": {"separator": ";"},
    "link": [{"column": "id", "property": "id"}, {"column": "mail", "property": "email"}],
    "mappings": [{"column": "tier", "property": "tier"}, {"column": "new", "property": "new"}],
}
GROUPS = {**GOAL, "kind": "import_groups", "group_type": "household"}

SAME: list[tuple[str, dict[str, Any]]] = [
    ("goal.id", {"id": "clients"}),
    ("goal.name", {"name": "Clients"}),
    ("goal.active", {"active": False}),
    ("goal.source", {"source": {"bucket": "other"}}),
    ("source.bucket", {"source": {**GOAL["source"], "bucket": "other"}}),
    ("source.directory", {"source": {**GOAL["source"], "directory": "out/"}}),
    ("source.files", {"source": {**GOAL["source"], "files": "a.csv"}}),
    ("source.regex", {"source": {"bucket": "crm", "regex": ".*"}}),
    ("goal.prefix", {"prefix": "crm_"}),
    ("goal.on_change", {"on_change": "skip"}),
    ("goal.pin", {"pin": "never"}),
    ("mapping.type", {"mappings": [{"column": "tier", "property": "tier", "type": "text"}, GOAL["mappings"][1]]}),
    ("mapping.multiple", {"mappings": [{"column": "tier", "property": "tier", "multiple": False}, GOAL["mappings"][1]]}),
]
OTHER: list[tuple[str, dict[str, Any]]] = [
    ("goal.kind", GROUPS),
    ("goal.domain", {"domain": "wholesale"}),
    ("goal.format", {"format": {}}),
    ("format.separator", {"format": {"separator": "|"}}),
    ("format.decimal", {"format": {"separator": ";", "decimal": ","}}),
    ("format.multi_value", {"format": {"separator": ";", "multi_value": "|"}}),
    ("format.date_format", {"format": {"separator": ";", "date_format": "%Y%m%d"}}),
    ("format.datetime_format", {"format": {"separator": ";", "datetime_format": "%Y%m%d%H"}}),
    ("format.time_zone", {"format": {"separator": ";", "time_zone": "Europe/Paris"}}),
    ("format.encoding", {"format": {"separator": ";", "encoding": "cp1252"}}),
    ("goal.link", {"link": GOAL["link"][:1]}),
    ("link.column", {"link": [{"column": "nr", "property": "id"}, GOAL["link"][1]]}),
    ("link.property", {"link": [{"column": "id", "property": "profile_identifier"}, GOAL["link"][1]]}),
    ("goal.allow_creation", {"allow_creation": True}),
    ("goal.mappings", {"mappings": []}),
    ("mapping.column", {"mappings": [{"column": "level", "property": "tier"}, GOAL["mappings"][1]]}),
    ("mapping.property", {"mappings": [{"column": "tier", "property": "other"}, GOAL["mappings"][1]]}),
    ("mapping.rule", {"mappings": [{"column": "tier", "property": "tier", "rule": "set_if_empty"}, GOAL["mappings"][1]]}),
    ("mapping.blank", {"mappings": [{"column": "tier", "property": "tier", "blank": "clear"}, GOAL["mappings"][1]]}),
    ("goal.on_bad_cell", {"on_bad_cell": "reject_row"}),
    ("goal.group_type", {**GROUPS, "group_type": "company"}),
]


def identity(changed: dict[str, Any], objectives: tuple[str, ...] = ()) -> str:
    model = ImportGroupsGoal if {**GOAL, **changed}["kind"] == "import_groups" else ImportProfilesGoal
    goal: ImportGoal = model.model_validate({**GOAL, **changed})
    return configuration_identity(goal, SCHEMA, objectives)


@pytest.mark.parametrize(("field", "changed"), SAME, ids=[field for field, _ in SAME])
def test_what_does_not_affect_the_result(field: str, changed: dict[str, Any]) -> None:
    assert identity(changed) == identity({})


@pytest.mark.parametrize(("field", "changed"), OTHER, ids=[field for field, _ in OTHER])
def test_what_affects_the_result(field: str, changed: dict[str, Any]) -> None:
    assert identity(changed) != identity(GROUPS if field == "goal.group_type" else {})


def test_all_others_differ_from_each_other() -> None:
    assert len({identity(changed) for _, changed in OTHER}) == len(OTHER)


def test_the_tables_name_every_field_once() -> None:
    models: dict[str, list[type[BaseModel]]] = {
        "goal": [ImportProfilesGoal, ImportGroupsGoal],
        "source": [Source],
        "format": [FileFormat],
        "link": [Link],
        "mapping": [Mapping],
    }
    every = {f"{name}.{field}" for name, kinds in models.items() for kind in kinds for field in kind.model_fields}
    assert sorted(field for field, _ in SAME + OTHER) == sorted(every)


def test_objectives_decide_whose_rows_are_taken() -> None:
    assert identity({}, ("newsletter",)) != identity({})
    assert identity({}, ("b", "a")) == identity({}, ("a", "b"))


@pytest.mark.spec("P1")
def test_groups_are_not_judged_by_objectives() -> None:
    group = {**{name: value for name, value in GOAL.items() if name != "kind"}, "kind": "import_groups", "group_type": "household"}
    assert judged_objectives(ImportGroupsGoal.model_validate(group), ("newsletter",)) == ()
    assert judged_objectives(ImportProfilesGoal.model_validate(GOAL), ("newsletter",)) == ("newsletter",)


def test_the_order_of_links_counts_that_of_mappings_does_not() -> None:
    assert identity({"link": GOAL["link"][::-1]}) != identity({})
    assert identity({"mappings": GOAL["mappings"][::-1]}) == identity({})


def test_a_default_that_is_written_out_is_no_change() -> None:
    written_out = {"allow_creation": False, "format": {"separator": ";", "encoding": "UTF8", "decimal": "."}, "on_bad_cell": "reject_cell"}
    assert identity(written_out) == identity({})


@pytest.mark.parametrize("shape", [Property(name="tier", type="number"), Property(name="tier", multiple=True)])
def test_another_shape_of_a_mapped_property_is_a_change(shape: Property) -> None:
    goal = ImportProfilesGoal.model_validate(GOAL)
    reshaped = initial_schema(DOMAIN.model_copy(update={"properties": (*DOMAIN.properties[:2], shape)}))
    assert configuration_identity(goal, reshaped) != configuration_identity(goal, SCHEMA)


def test_creating_the_mapped_properties_is_no_change() -> None:
    mappings = [
        {"column": "a", "property": "new", "type": "number"},
        {"column": "b", "property": "consents"},
        {"column": "c", "property": "many", "multiple": True},
    ]
    goal = ImportProfilesGoal.model_validate({**GOAL, "mappings": mappings})
    created = [Property(name="new", type="number"), Property(name="consents", multiple=True), Property(name="many", multiple=True)]
    assert configuration_identity(goal, initial_schema(DOMAIN, created)) == configuration_identity(goal, SCHEMA)


def test_a_release_does_not_change_it() -> None:
    """Another value here would import every file of every user again. Sums would double."""
    assert identity({}) == "957a9047d013be03"
