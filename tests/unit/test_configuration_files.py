"""What right files mean: defaults, normalised values, round trips, and the examples."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from headrace.connection_checks import domain_name, new_properties, validate_against
from headrace.connections import Connection
from headrace.domains import Domain, Property, refused_changes
from headrace.formats import FileFormat
from headrace.goals import ExportProfilesGoal, ImportGroupsGoal, ImportProfilesGoal
from headrace.schedules import WeekdayOfMonth
from headrace.schema import DomainSchema, StoredProperty
from headrace.segments import Segment
from headrace.yaml_document import parse_yaml
from headrace.yaml_source import load_file, load_files

REPOSITORY = Path(__file__).parents[2]
VALID = Path(__file__).parent / "valid_configuration"


@pytest.fixture
def retail() -> Domain:
    domain = load_file(VALID / "retail.yaml")
    assert isinstance(domain, Domain)
    return domain


@pytest.fixture
def crm() -> Connection:
    connection = load_file(VALID / "crm.yaml")
    assert isinstance(connection, Connection)
    return connection


def _models(*annotations: object) -> Iterator[type[BaseModel]]:
    for annotation in annotations:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
            for field in annotation.model_fields.values():
                yield from _models(field.annotation, *field.metadata)
        else:
            yield from _models(*typing.get_args(annotation))


def test_files_that_say_everything_are_right() -> None:
    configuration = load_files([VALID / "crm.yaml", VALID / "retail.yaml"])
    assert (list(configuration.domains), list(configuration.connections)) == (["retail"], ["crm"])


@pytest.mark.spec("S3")
@pytest.mark.parametrize("count", [1, 50])
def test_a_comparison_takes_up_to_fifty_values(count: int, tmp_path: Path) -> None:
    """One more, and none: see broken_configuration."""
    values = [f"v{number}" for number in range(count)]
    path = tmp_path / "vip.yaml"
    path.write_text(
        "version: 1\nkind: segment\ndomain: retail\nname: vip\n"
        f"groups: [{{dimensions: [{{property: tier, comparison: inclusive, values: {values}}}]}}]\n"
    )
    segment = load_file(path)
    assert isinstance(segment, Segment)
    assert segment.groups[0].dimensions[0].values == tuple(values)


@pytest.mark.spec("C1")
def test_a_connection_holds_all_that_its_file_says(crm: Connection) -> None:
    assert (crm.name, crm.description, crm.labels) == ("crm", 'Nightly CRM dump, "on" since March', ("crm", "tägliche Läufe"))
    assert (crm.favorite, crm.enabled, crm.objectives) == (True, False, ("newsletter",))
    assert (crm.s3.endpoint_url, crm.s3.region, crm.s3.credentials) == ("https://s3.example.com:9000", "eu-west-1", "crm-aws")
    assert (crm.notifications.emails, crm.notifications.on_error) == (("ops@example.com", "Zweite@example.com"), True)
    assert len(crm.schedule) == 6
    assert [goal.id for goal in crm.goals] == ["customers", "households-monthly", "spenders"]


def _keys_used(model: BaseModel) -> set[tuple[type[BaseModel], str]]:
    used = {(type(model), name) for name in model.model_fields_set}
    for name in type(model).model_fields:
        value = getattr(model, name)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, BaseModel):
                used |= _keys_used(one)
    return used


def test_the_maximal_files_use_every_key(retail: Domain, crm: Connection) -> None:
    every = {(model, name) for model in _models(Domain, Connection) for name in model.model_fields}
    in_the_other_kind = {(ImportGroupsGoal, name) for name in ImportProfilesGoal.model_fields}
    time_of_schedules = {(model, name) for model in _models(Connection) for name in ("at", "time_zone")}
    active = {(ExportProfilesGoal, "active")}
    assert every - _keys_used(retail) - _keys_used(crm) <= in_the_other_kind | time_of_schedules | active


@pytest.mark.spec("C1")
def test_stored_and_read_again_they_are_equal(retail: Domain, crm: Connection) -> None:
    assert Domain.model_validate_json(retail.model_dump_json()) == retail
    assert Connection.model_validate_json(crm.model_dump_json()) == crm


def test_every_key_is_described() -> None:
    for model in _models(Domain, Connection):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"


def test_models_are_frozen_and_strict() -> None:
    for model in _models(Domain, Connection):
        assert model.model_config.get("frozen") is True
        assert model.model_config.get("extra") == "forbid"


def test_values_are_normalised(crm: Connection) -> None:
    profiles, groups, export = crm.goals
    assert isinstance(profiles, ImportProfilesGoal)
    assert isinstance(groups, ImportGroupsGoal)
    assert isinstance(export, ExportProfilesGoal)
    assert profiles.source.directory == "exports/"
    assert profiles.format.encoding == "iso8859-1"
    assert groups.id == "households-monthly"
    assert (groups.source.files, groups.source.regex) == (None, r"households/[0-9]+\.csv(\.gz)?")
    assert export.format.separator == "\t"
    assert crm.schedule[-1] == WeekdayOfMonth(weekday_of_month="last friday")
    last, second = crm.schedule[-1], crm.schedule[-2]
    assert isinstance(last, WeekdayOfMonth)
    assert isinstance(second, WeekdayOfMonth)
    assert (last.ordinal, last.weekday, second.ordinal, second.weekday) == ("last", "friday", 2, "tuesday")
    assert [domain_name(goal) for goal in crm.goals] == ["retail", "retail~household", "retail"]


@pytest.mark.spec("M8")
def test_a_mapping_without_property_gets_prefix_and_column(crm: Connection) -> None:
    assert [one.property for one in crm.import_goals[0].mappings if one.column == "shoe size"] == ["crm_shoe size"]


@pytest.mark.spec("I6")
@pytest.mark.parametrize(
    ("written", "separator"), [(",", ","), (";", ";"), ("|", "|"), ("tab", "\t"), ("\\t", "\t"), ("\t", "\t"), ("^", "^"), (" ", " ")]
)
def test_any_single_character_separates(written: str, separator: str) -> None:
    assert FileFormat(separator=written).separator == separator


@pytest.mark.spec("I6", "I7", "I11")
def test_defaults_of_a_format() -> None:
    assert FileFormat().model_dump() == {
        "separator": ",",
        "decimal": ".",
        "multi_value": None,
        "date_format": "%Y-%m-%d",
        "datetime_format": "%Y-%m-%d %H:%M:%S",
        "time_zone": "UTC",
        "encoding": "utf-8",
    }


@pytest.mark.spec("I7")
def test_decimal_comma_goes_with_comma_separated_fields() -> None:
    assert FileFormat(separator=",", decimal=",").decimal == ","


@pytest.mark.spec("I9")
@pytest.mark.parametrize("pattern", ["%Y%m%d", "%d.%m.%y", "%d %B %Y", "%j/%Y", "%G-W%V-%u", "%Y-%m-%d 100%%", "%m/%d/%Y %H:%M"])
def test_date_formats(pattern: str) -> None:
    assert FileFormat(date_format=pattern).date_format == pattern


@pytest.mark.spec("I9")
@pytest.mark.parametrize("pattern", ["%Y-%m-%dT%H:%M:%S.%f%z", "%d/%m/%y %I:%M %p", "%Y%m%d%H"])
def test_date_time_formats(pattern: str) -> None:
    assert FileFormat(datetime_format=pattern).datetime_format == pattern


@pytest.mark.spec("I11")
@pytest.mark.parametrize(
    ("written", "codec"), [("UTF8", "utf-8"), ("utf-16", "utf-16"), ("Windows-1252", "cp1252"), ("shift_jis", "shift_jis")]
)
def test_encodings(written: str, codec: str) -> None:
    assert FileFormat(encoding=written).encoding == codec


@pytest.mark.parametrize("word", ["no", "on", "yes", "06:00", "2024-01-01", "0x1F", "1_000", "012:30", "'true'", '"1"', "|-\n  1"])
def test_yaml_1_2_leaves_texts_alone(word: str) -> None:
    assert parse_yaml(f"key: {word}").data == {"key": word.strip("'\"|-\n ")}


def test_yaml_scalars_and_anchors() -> None:
    text = "a: [true, False, 12, -1.5, null, ~, ]\nb: &b {c: 1}\nd: [*b, *b]\ne:\n"
    document = parse_yaml(text)
    assert document.data == {"a": [True, False, 12, -1.5, None, None], "b": {"c": 1}, "d": [{"c": 1}, {"c": 1}], "e": None}
    assert document.line(("d", 1, "c")) == 2, "an alias leads to what it stands for"
    assert document.line(("e", "nothing")) == 4


@pytest.mark.spec("M9")
def test_what_apply_has_to_create(retail: Domain, crm: Connection) -> None:
    assert validate_against(crm, {"retail": retail}) == []
    assert new_properties(crm, {"retail": retail}) == {
        "retail": (
            Property(name="visits", type="number"),
            Property(name="colours", type="text", multiple=True),
            Property(name="consents", type="text", multiple=True),
            Property(name="crm_shoe size", type="text"),
        ),
        "retail~household": (Property(name="size", type="number"),),
    }


@pytest.mark.spec("M9")
def test_what_mappings_created_before_stays_known(tmp_path: Path) -> None:
    schemas = {
        "retail": DomainSchema(3, (StoredProperty(0, "visits", "number", identifier=False, multiple=False, origin="mapping"),)),
        "retail~household": DomainSchema(1, (StoredProperty(0, "rooms", "number", identifier=False, multiple=False, origin="mapping"),)),
    }
    path = tmp_path / "web.yaml"
    path.write_text(
        "version: 1\nkind: connection\nname: web\ngoals:\n"
        "  - {kind: import_profiles, name: a, domain: retail, source: {bucket: web}, link: [{column: id, property: email}],"
        " mappings: [{column: n, property: visits, rule: sum}]}\n"
        "  - {kind: import_groups, name: b, domain: retail, group_type: household, source: {bucket: web},"
        " link: [{column: id, property: household_id}], mappings: [{column: n, property: rooms, rule: sum}]}\n"
    )
    retail = load_files([VALID / "retail.yaml"]).domains
    assert load_files([path], retail, schemas).connections["web"].name == "web"
    assert load_files([path, VALID / "retail.yaml"], {}, schemas).connections["web"].name == "web"


def test_partitions_are_fixed(retail: Domain) -> None:
    assert refused_changes(retail, retail) == []
    changed = retail.model_copy(update={"partitions": 16})
    assert [(one.path, one.message) for one in refused_changes(retail, changed)] == [
        (
            ("partitions",),
            "can't change from 8 to 16: it is fixed when the domain is created; write 8, or make a new domain and import into it",
        )
    ]


def test_the_demo_is_right() -> None:
    paths = ("domains/shop.yaml", "connections/cdnow.yaml", "segments/loyal-1998.yaml")
    configuration = load_files(REPOSITORY / path for path in paths)
    assert list(configuration.segments) == [("shop", "loyal-1998")]
    goal = configuration.connections["cdnow"].goals[0]
    assert isinstance(goal, ImportProfilesGoal)
    assert new_properties(configuration.connections["cdnow"], configuration.domains) == {}
    assert [(one.column, one.property, one.rule) for one in goal.mappings] == [
        ("quantity", "total_quantity", "sum"),
        ("amount", "total_amount", "sum"),
        ("date", "first_purchase", "set_if_empty"),
        ("date", "last_purchase", "set"),
        ("quantity", "quantities_seen", "add"),
    ]


def test_every_example_is_right() -> None:
    examples = [*REPOSITORY.glob("domains/*.yaml"), *REPOSITORY.glob("connections/*.yaml")]
    configuration = load_files(examples)
    assert len(configuration.domains) + len(configuration.connections) == len(examples)
