"""A preview says of each cell what an import would make of it, and reads no more of a file than it needs."""

from __future__ import annotations

import gzip
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from headrace.import_plan import ImportPlan, PlannedFormat
from headrace.masking import Values, mask
from headrace.merge import Profile, import_rows
from headrace.outcomes import Outcome, Reason
from object_store.versions import ObjectVersion
from streaming.look import head as head_module
from streaming.look.existing import Existing
from streaming.look.head import Head, head_of
from streaming.look.preview import Preview, preview_of
from streaming.split.table import HeaderError
from tasks.look_report import preview_headline, preview_markdown
from tests.files import COLUMNS, csv_bytes, plans, tables

FILE = ObjectVersion("crm", "in/a.csv", None, "etag", 1, datetime(2026, 1, 31, tzinfo=UTC))


def plan(*mappings: dict[str, Any], **more: Any) -> ImportPlan:
    """Links column `id`."""
    return ImportPlan.model_validate(
        {
            "domain": "test",
            "partitions": 1,
            "address_key": "07" * 32,
            "schema_version": 1,
            "width": len(mappings) + 1,
            "links": [{"column": "id", "property": "customer_id"}],
            "mappings": [{"property": one["column"], "property_id": place, **one} for place, one in enumerate(mappings, 1)],
            "allow_creation": True,
            **more,
        }
    )


def previewed(data: bytes, made: ImportPlan, rows: int = 100, existing: Existing | None = None) -> Preview:
    return preview_of(FILE, made, head_of(io.BytesIO(data).read, made.file_format, FILE.key, rows), existing or Existing(), rows)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(tables(max_rows=12), plans())
@pytest.mark.spec("I5", "I9")
def test_each_cell_becomes_what_the_import_of_its_row_alone_would_store(rows: list[dict[str, str]], drawn: ImportPlan) -> None:
    """Into an empty domain, so that every rule stores the value as it is read."""
    made = drawn.model_copy(update={"allow_creation": True, "objectives": ()})
    shown = previewed(csv_bytes(rows, COLUMNS), made).shown
    assert len(shown) == len(rows)
    for row, preview in zip(rows, shown, strict=True):
        profiles = dict[bytes, Profile]()
        result = import_rows(profiles, [row], made)
        if isinstance(preview.linked, Reason):
            assert result.rejects == [(0, None, preview.linked)]
            continue
        refused = {(made.mappings[one.mapping].column, one.becomes) for one in preview.cells if isinstance(one.becomes, Reason)}
        assert refused == {(column, reason) for _, column, reason in result.rejects}
        assert (preview.rejected is not None) == (result.counts[Outcome.REJECTED] == 1)
        if preview.rejected is None:
            [profile] = profiles.values()
            becomes = {made.mappings[one.mapping].property: one.becomes for one in preview.cells if not isinstance(one.becomes, Reason)}
            assert profile == {name: value for name, value in becomes.items() if value is not None}


@pytest.mark.spec("I5")
def test_lines_that_are_no_rows_stand_among_the_rows_with_their_reason() -> None:
    found = previewed(b"id,x\nC1,a\nC2\n,b\nC3,c\n", plan({"column": "x"}))
    assert [(row.line, row.rejected) for row in found.shown] == [
        (2, None),
        (3, Reason.WRONG_COLUMN_COUNT),
        (4, Reason.NO_IDENTIFIER),
        (5, None),
    ]
    assert found.links == {0: 2, Reason.NO_IDENTIFIER: 1}
    assert preview_headline(found) == "2 rows and 0 values would be rejected among all 4 rows."


@pytest.mark.spec("I5")
def test_columns_that_are_mapped_and_not_there_are_said_and_the_others_shown() -> None:
    found = previewed(b"id,x,y,y\nC1,a,1,2\n", plan({"column": "x"}, {"column": "X"}, {"column": "y"}))
    assert [one.missing for one in found.mappings] == [False, True, True]
    assert found.problems == [
        "there is no column 'X'; names match exactly, capitals included",
        "2 columns are called 'y', so a mapping can't tell them apart; rename them in the file",
    ]
    assert found.mappings[0].values == {"a": "a"}


@pytest.mark.spec("I9")
def test_dates_that_are_not_read_are_counted_and_the_format_that_would_is_named() -> None:
    rows = b"".join(b"C1,%d/01/2026,2026-03-29 0%d:30:00\n" % (day, day % 4) for day in range(13, 31))
    found = previewed(
        b"id,day,seen\n" + rows,
        plan({"column": "day", "type": "date"}, {"column": "seen", "type": "datetime"}, file_format={"time_zone": "Europe/Amsterdam"}),
    )
    day, seen = found.mappings
    assert (day.read, day.rejected, day.format, day.fits) == (0, {Reason.NOT_A_DATE: 18}, "%Y-%m-%d", ["%d/%m/%Y"])
    assert (seen.read, seen.rejected) == (13, {Reason.NONEXISTENT_LOCAL_TIME: 5})
    assert seen.values["2026-03-29 01:30:00"] == "2026-03-29T00:30:00Z"
    assert seen.refused == {"2026-03-29 02:30:00": Reason.NONEXISTENT_LOCAL_TIME}
    text = preview_markdown(found, Values.SHOWN)
    assert "`13/01/2026`" in text
    assert "date\\_format: '%d/%m/%Y' would" in text


@pytest.mark.spec("I5", "C2")
def test_an_artifact_shows_shapes_unless_values_are_asked_for() -> None:
    found = previewed("id,name,day\nC17,Zoë O'Neil,31-01-2026\n".encode(), plan({"column": "name"}, {"column": "day", "type": "date"}))
    masked, shown = preview_markdown(found, Values.MASKED), preview_markdown(found, Values.SHOWN)
    for value in ("Zoë", "Neil", "31-01-2026"):
        assert value not in masked
        assert value in shown
    assert "`Aaa A'Aaaa`" in masked
    assert "`99-99-9999`" in masked


def test_a_mask_gives_nothing_but_shapes() -> None:
    assert mask("Ana-1 31/01/2026 é٣") == "Aaa-9 99/99/9999 a9"
    assert mask("x" * 41) == "a" * 40 + "…"


@pytest.mark.spec("M9")
def test_mappings_into_properties_that_have_something_are_warned_of() -> None:
    existing = Existing(frozenset({"x"}), {"y": ["goal b of connection crm"]})
    found = previewed(b"id,x,y,z\nC1,1,2,3\n", plan({"column": "x"}, {"column": "y"}, {"column": "z"}), existing=existing)
    assert [one.warnings for one in found.mappings] == [
        ["property 'x' already holds values"],
        ["property 'y' is also mapped by goal b of connection crm"],
        [],
    ]


class Counted(io.BytesIO):
    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.taken = 0

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.taken += len(found)
        return found


def head(data: bytes, rows: int) -> tuple[Head, int]:
    """And how many bytes were read for it."""
    source = Counted(data)
    return head_of(source.read, PlannedFormat(), "a.csv", rows), source.taken


@pytest.mark.spec("I5", "I12")
def test_no_more_of_a_file_is_read_than_the_rows_take() -> None:
    found, taken = head(b"id,x\n" + b"C1,abcdefgh\n" * 1_000_000, 10)
    assert (found.rows, found.whole) == (10, False)
    assert taken <= head_module.READ_BYTES
    assert head(b"id,x\nC1,a\n", 10)[0].whole


def test_a_line_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_module, "MOST_BYTES", 1 << 20)
    found, taken = head(b"id,x\nC1,a\n" + b"x" * (8 << 20), 10)
    assert (found.rows, found.whole) == (1, False)
    assert taken <= (1 << 20) + head_module.READ_BYTES


def test_very_many_columns_are_read_for_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_module, "MOST_CELLS", 60_000)
    found, _ = head(("," * 19_999 + "\n").encode() * 200, 200)
    assert len(found.header) == 20_000
    assert found.doubles == [""]
    assert 3 <= found.rows <= 12, "a block is read whole"


@pytest.mark.parametrize("data", [b"", b"\n\n", "\ufeff".encode()])
def test_an_empty_file_is_refused_as_the_import_would(data: bytes) -> None:
    with pytest.raises(HeaderError, match="EMPTY_FILE"):
        head(data, 10)


def test_a_header_that_is_no_text_is_refused_as_the_import_would() -> None:
    with pytest.raises(HeaderError, match="not text in the file's encoding"):
        # With the time in it, its bytes would be others each second, once in a while a carriage return among them.
        head(gzip.compress(b"id,x\n", mtime=0) + b"\n", 10)
