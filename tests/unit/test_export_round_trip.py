"""Exported, imported into an empty domain, exported again: the same property columns, for every combination of settings (SPEC E9)."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.cells import BLANKS
from headrace.domains import BUILT_IN, Domain
from headrace.formats import ExportFormat
from headrace.goals import ExportProfilesGoal
from headrace.merge import Profile
from headrace.schema import initial_schema
from headrace.written_cells import loses
from profile_store.registry import StoredDomain
from streaming.exporting.plan import IdentifierCells, PropertyCells, SegmentCells, TextCells, plan_export
from tests.round_trip import PROPERTIES, exported, imported, text_of
from tests.unit.test_export_values import VALUES

NO_NUL = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXTS = st.one_of(st.text(NO_NUL, min_size=1, max_size=8), st.sampled_from(["a/b", 'q"', "x\r\ny", " x "]))
VALUE = {**VALUES, "text": TEXTS.filter(lambda one: bool(one.strip(BLANKS)))}
"""No file holds a NUL: no import could have stored one."""
IDENTIFIERS = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=6).filter(
    lambda one: one.strip() == one
)


def values_of(kind: str, multiple: bool) -> st.SearchStrategy[Any]:
    one = VALUE[kind]
    return st.one_of(st.none(), st.lists(one, min_size=1, max_size=3, unique=True).map(tuple) if multiple else one)


PROFILES = st.dictionaries(
    IDENTIFIERS, st.fixed_dictionaries({name: values_of(kind, multiple) for name, kind, multiple in PROPERTIES[1:]}), min_size=1, max_size=6
)
SETTINGS = st.fixed_dictionaries(
    {
        "separator": st.sampled_from([",", ";", "\t", "|", "é", "^"]),
        "decimal": st.sampled_from([".", ","]),
        "multi_value": st.sampled_from(["/", "~", " ", "\x1e", "ß"]),
        "date_format": st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%Y%m%d", "%d %b %Y", "%m/%d/%y"]),
        "datetime_format": st.sampled_from(
            ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f%z", "%d.%m.%Y %H:%M", "%Y-%m-%dT%H:%M:%SZ", "%I:%M:%S %p %d-%m-%Y"]
        ),
        "time_zone": st.sampled_from(["UTC", "Europe/Amsterdam", "America/Sao_Paulo", "Asia/Kathmandu"]),
        "compression": st.sampled_from(["none", "gzip"]),
    }
)


@settings(max_examples=40)
@given(PROFILES, SETTINGS)
@pytest.mark.spec("E9")
def test_property_columns_come_back_for_every_combination_of_settings(profiles: dict[str, Profile], chosen: dict[str, Any]) -> None:
    written = ExportFormat(**chosen)
    profiles = {
        identifier: {name: value for name, value in values.items() if value is not None}
        for identifier, values in profiles.items()
        if chosen["multi_value"] not in identifier
    }

    first, left_out = exported(profiles, written)
    there, rejected = imported(first, written)
    second, _ = exported(there, written)

    assert rejected == 0
    assert set(there) == set(profiles)
    assert sorted(text_of(second).splitlines()) == sorted(text_of(first).splitlines())
    if not left_out:
        cells = written.cells
        whole = [name for name, kind, _ in PROPERTIES[1:] if not loses(kind, cells)]
        for identifier, values in profiles.items():
            assert {name: values.get(name) for name in whole} == {name: there[identifier].get(name) for name in whole}


@pytest.mark.spec("E8")
@pytest.mark.parametrize(("safe", "note"), [(True, "'=1+1"), (False, "=1+1")])
def test_text_cells_are_neutralised_where_the_goal_says_so_and_numbers_never(safe: bool, note: str) -> None:
    profiles: dict[str, Profile] = {"a": {"amount": "-5", "note": "=1+1", "tags": ("@x", "y")}}
    data, _ = exported(profiles, ExportFormat(multi_value="|", spreadsheet_safe=safe))
    [row] = csv.DictReader(io.StringIO(data.decode(), newline=""))
    assert (row["amount"], row["note"], row["tags"]) == ("-5", note, "'@x|y" if safe else "@x|y")


@pytest.mark.spec("E8")
@pytest.mark.parametrize(("safe", "mark"), [(True, "'"), (False, "")])
def test_headers_are_neutralised_as_cells_are_and_import_back_as_they_are_written(safe: bool, mark: str) -> None:
    written = ExportFormat(multi_value="|", spreadsheet_safe=safe)
    properties = (("id", "text", False), ("=HYPERLINK(1)", "text", False), ('@x,"y"', "number", False), ("a=1", "text", False))
    data, _ = exported({"a": {"=HYPERLINK(1)": "=1", '@x,"y"': "-5", "a=1": "b"}}, written, properties)

    headers = next(csv.reader(io.StringIO(data.decode(), newline="")))

    assert headers == ["id", f"{mark}=HYPERLINK(1)", f'{mark}@x,"y"', "a=1", "from"]
    as_written = tuple((header, kind, multiple) for header, (_, kind, multiple) in zip(headers[:-1], properties, strict=True))
    back = {f"{mark}=HYPERLINK(1)": f"{mark}=1", f'{mark}@x,"y"': "-5", "a=1": "b"}
    assert imported(data, written, as_written) == ({"a": back}, 0)


@pytest.mark.spec("E7")
def test_every_kind_of_column_finds_what_it_holds() -> None:
    columns = [
        {"kind": "text", "header": "b", "text": "same"},
        {"kind": "viewed_interactions", "header": "v"},
        {"kind": "segments", "header": "s"},
        {"kind": "profile_identifier", "header": "i"},
        {"kind": "permission_level", "header": "p"},
        {"kind": "property", "header": "a", "property": "customer_id"},
        {"kind": "segments", "header": "one", "segments": ["second"]},
    ]
    goal = ExportProfilesGoal.model_validate(
        {"kind": "export_profiles", "name": "x", "domain": "d", "segment": "first", "destination": {"bucket": "out"},
         "format": {"multi_value": "|"}, "columns": columns}
    )  # fmt: skip
    definition = Domain.model_validate(
        {"version": 1, "kind": "domain", "name": "d", "properties": [{"name": "customer_id", "identifier": True}]}
    )
    mapped = [one for one in BUILT_IN if one.name != "permission_level"]
    domain = StoredDomain(definition, initial_schema(definition, mapped), "07" * 32)
    plan = plan_export(goal, domain, (), {"first": 1, "second": 2}, "x.csv")
    assert plan.headers == ("b", "v", "s", "i", "p", "a", "one")
    assert plan.cells == (
        TextCells("same"),
        PropertyCells(1, "text", True),
        SegmentCells(("first", "second")),
        IdentifierCells(),
        PropertyCells(None, "text", False),
        PropertyCells(0, "text", False),
        SegmentCells(("second",)),
    )
    assert (plan.segments, plan.segment_ids, plan.wanted, plan.selects) == (("first", "second"), (1, 2), (0,), True)

    named = plan_export(
        goal.model_copy(update={"replace_identifiers_with_file_name": True}), domain, (), {"first": 1, "second": 2}, "x.csv"
    )
    assert named.cells[3] == TextCells("x.csv")

    none_selected = goal.model_copy(update={"columns": goal.columns[:5]})
    assert not plan_export(none_selected, domain, (), {"first": 1, "second": 2}, "x.csv").selects, "all of the segment (SPEC E1)"
