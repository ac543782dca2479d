"""Every column that is not mapped, with a guessed type, as lines that can be pasted into the connection's file."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.cells import CellFormat
from headrace.connections import Connection
from headrace.domains import Domain, Property
from headrace.goals import ImportProfilesGoal
from headrace.schema import initial_schema
from headrace.yaml_source import load_files
from object_store.versions import ObjectVersion
from profile_store.registry import StoredDomain
from streaming.importing.plan import planned_format
from streaming.look.detect import Detected, DetectedField, detected_in
from streaming.look.existing import Existing
from streaming.look.guess import guess_type
from streaming.look.head import head_of
from tasks.look_report import detected_headline, detected_markdown

FILE = ObjectVersion("crm", "in/a.csv", None, "etag", 1, datetime(2026, 1, 31, tzinfo=UTC))
DOMAIN = """\
version: 1
kind: domain
name: retail
properties:
  - {name: customer_id, identifier: true}
  - {name: email, type: email, identifier: true}
  - {name: points, type: number}
  - {name: interests, multiple: true}
"""
CONNECTION = """\
version: 1
kind: connection
name: crm
goals:
  - kind: import_profiles
    name: Customers
    domain: retail
    source: {bucket: crm-files}
    format: {multi_value: "|"}
    link: [{column: id, property: customer_id}]
    mappings:
      - {column: mail, property: email}
"""


def stored() -> StoredDomain:
    properties = (
        Property(name="customer_id", identifier=True),
        Property(name="email", type="email", identifier=True),
        Property(name="points", type="number"),
        Property(name="interests", multiple=True),
    )
    domain = Domain(version=1, kind="domain", name="retail", properties=properties)
    return StoredDomain(domain, initial_schema(domain), "07" * 32)


def goal(**more: Any) -> ImportProfilesGoal:
    return ImportProfilesGoal.model_validate(
        {
            "kind": "import_profiles",
            "name": "Customers",
            "domain": "retail",
            "source": {"bucket": "crm-files"},
            "format": {"multi_value": "|"},
            "link": [{"column": "id", "property": "customer_id"}],
            "mappings": [{"column": "mail", "property": "email"}],
            **more,
        }
    )


def detected(data: str, prefix: str = "", existing: Existing | None = None, **more: Any) -> Detected:
    made = goal(**more)
    head = head_of(io.BytesIO(data.encode()).read, planned_format(made.format), FILE.key, 100)
    return Detected(FILE, head.rows, detected_in(head, made, stored(), prefix, existing or Existing()))


def only(data: str, **more: Any) -> DetectedField:
    [field] = detected(data, **more).fields
    return field


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "-2.5", ""], "number"),
        (["1,5", "2"], "number"),
        (["007", "12"], "text"),
        (["2026-01-31", " 2026-02-01 "], "date"),
        (["31/01/2026"], "date"),
        (["20260131", "19991231"], "date"),
        (["20260131", "99999999"], "number"),
        (["2026-01-31 10:00:00"], "datetime"),
        (["2026-01-31T10:00:00+0100", "2026-01-31T10:00:00Z"], "datetime"),
        (["a@example.com", "B@example.com"], "email"),
        (["yes", "No"], "boolean"),
        (["1", "0"], "number"),
        (["Ana", "1"], "text"),
        (["", " "], "text"),
        ([*["1"] * 99, "n/a"], "number"),
        ([*["1"] * 9, "n/a"], "text"),
    ],
)
@pytest.mark.spec("M8")
def test_types_are_guessed_from_the_values(cells: list[str], kind: str) -> None:
    assert guess_type(cells, CellFormat()).type == kind


@pytest.mark.spec("M8")
def test_cells_with_several_values_make_a_list() -> None:
    found = detected("id,tags,one\nC1,a|b,a|\nC2,c,b\n").fields
    assert [(one.column, one.multiple) for one in found] == [("tags", True), ("one", False)]
    assert guess_type(["1|2.5", "3"], CellFormat(multi_value="|")).type == "number"


@pytest.mark.spec("M8", "I9")
def test_a_date_in_another_format_than_the_goals_names_the_ones_that_fit() -> None:
    found = only("id,day\nC1,01/02/2026\nC2,03/04/2026\n")
    assert (found.type, found.refused) == ("date", 2)
    assert found.warnings == [
        "its values read with date_format: '%d/%m/%Y' or '%m/%d/%Y'; only a person can tell which, while the goal has '%Y-%m-%d'",
        "2 of 2 values would be rejected as the goal stands",
    ]
    assert only("id,day\nC1,01/02/2026\n", format={"date_format": "%d/%m/%Y"}).warnings == []


@pytest.mark.spec("M8")
def test_every_column_that_is_not_mapped_gets_the_prefix() -> None:
    found = detected("id,mail,tier,points\nC1,a@example.com,gold,3\n", prefix="crm_")
    assert [(one.column, one.target) for one in found.fields] == [("tier", "crm_tier"), ("points", "crm_points")]
    assert found.yaml == ("      - {column: tier, property: crm_tier}\n      - {column: points, property: crm_points, type: number}\n")


@pytest.mark.spec("M9")
def test_a_property_that_is_there_keeps_its_type_and_is_warned_of() -> None:
    existing = Existing(frozenset({"points"}), {"interests": ["goal web of connection shop"]})
    points, interests = detected("id,points,interests\nC1,many,a\nC2,few,b\n", existing=existing).fields
    assert (points.type, points.existing, points.refused) == ("number", True, 2)
    assert points.warnings == [
        "property 'points' already holds values",
        "property 'points' holds number; the column's values look like text",
        "2 of 2 values would be rejected as the goal stands",
    ]
    assert interests.warnings[0] == "property 'interests' is also mapped by goal web of connection shop"
    assert points.yaml == "- {column: points, property: points}", "its type is the domain's: apply refuses another here"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("id,email\nC1,a@example.com\n", "the goal maps another column to it"),
        ("id,customer_id\nC1,C1\n", "the goal is linked by it"),
        ("id,x,x\nC1,1,2\n", "2 columns are called so: rename them in the file"),
        ("id,\nC1,1\n", "the column has no name that can be written: name it in the file's first line"),
        ("id,a=b\nC1,1\n", "this is no property name: choose another"),
    ],
)
@pytest.mark.spec("M8", "M9")
def test_what_cannot_be_pasted_is_a_comment_with_its_reason(data: str, why: str) -> None:
    found = only(data)
    assert found.left_out == why
    assert found.yaml.startswith("# - {column: ")


NAMES = st.one_of(
    st.sampled_from(["true", "Null", "a b", "é", "a: b", "#x", "'q'", '"', "{", "- x", "*", "&a", "%", "@", "1", "1.5", "~", "a,b"]),
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff"), min_size=1, max_size=12),
)


@pytest.mark.spec("M8")
@given(st.lists(NAMES, min_size=1, max_size=6, unique=True))
def test_what_is_printed_can_be_pasted_whatever_columns_are_called(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    header = ",".join(f'"{name.replace(chr(34), chr(34) * 2)}"' for name in ("id", *names))
    found = detected(f"{header}\n{',' * len(names)}\n", prefix="p_")

    connection = pasted(tmp_path_factory.mktemp("pasted"), found.yaml)

    [written] = connection.import_goals
    wanted = {(one.column, one.target) for one in found.fields if not one.left_out}
    assert {(one.column, one.property) for one in written.mappings[1:]} == {(column, nfc(target)) for column, target in wanted}


def nfc(text: str) -> str:
    import unicodedata

    return unicodedata.normalize("NFC", text)


def pasted(folder: Path, lines: str) -> Connection:
    """A connection file with the lines below its mappings, checked against its domain."""
    (folder / "domain.yaml").write_text(DOMAIN)
    (folder / "connection.yaml").write_text(CONNECTION + lines)
    return load_files([folder / "domain.yaml", folder / "connection.yaml"]).connections["crm"]


@pytest.mark.spec("M8", "M9")
def test_the_block_of_a_real_file_is_accepted_as_it_is(tmp_path: Path) -> None:
    rows = "C1,a@example.com,gold,3,a|b,2026-01-31,yes\nC2,b@example.com,,4.5,c,2026-02-01,no\n"
    found = detected(f"id,mail,tier,points,interests,born,member\n{rows}")
    mapped = {one.column: one for one in pasted(tmp_path, found.yaml).import_goals[0].mappings}
    assert list(mapped) == ["mail", "tier", "points", "interests", "born", "member"]
    assert (mapped["born"].type, mapped["member"].type, mapped["points"].type) == ("date", "boolean", None)


def test_the_artifact_holds_the_block_and_no_value_of_the_file() -> None:
    found = detected("id,tier,born\nC1,gold-secret,1999-12-31\n")
    text = detected_markdown(found)
    assert detected_headline(found) == "2 columns not mapped; 0 of them with a warning."
    assert "          - {column: born, property: born, type: date}" in text
    assert "gold-secret" not in text
    assert "1999-12-31" not in text
