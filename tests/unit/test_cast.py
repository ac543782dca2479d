"""Columns are read as the definition reads cells, whatever the text."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.cells import CellFormat
from headrace.import_plan import PlannedMapping
from headrace.merge import read_mapped
from headrace.outcomes import Reason
from profile_store.records import stored
from streaming.merge.cast import cast_column

FORMATS = st.builds(
    CellFormat,
    decimal=st.sampled_from([".", ","]),
    multi_value=st.sampled_from([None, "|", " "]),
    date_format=st.sampled_from(["%Y-%m-%d", "%d/%m/%Y", "%Y%m%d", "%d %b %Y", "%y.%m.%d"]),
    datetime_format=st.sampled_from(["%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M", "%Y-%m-%dT%H:%M:%S%z", "%Y%m%d%H%M%S.%f"]),
    time_zone=st.sampled_from(["UTC", "Europe/Amsterdam", "America/Sao_Paulo", "Australia/Lord_Howe"]),
    phone_region=st.sampled_from(["", "US", "NL"]),
)
NUMBERS = st.from_regex(r"\A[ ]?[+-]?[0-9]{0,30}[.,]?[0-9]{0,14}(e5)?\Z")
MOMENTS = st.datetimes().flatmap(
    lambda m: st.sampled_from(["%Y-%m-%d", "%d/%m/%Y", "%Y%m%d", "%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M", "%Y-%m-%dT%H:%M:%S+0200"]).map(
        m.strftime
    )
)
ODD = st.sampled_from(
    ["2026-02-30", "30/02/2026", "2026-03-29 02:30:00", "2026-10-25 02:30:00", "2026-06-01 00:00:60", "0000-01-01", "0001-01-01 00:00:00",
     "9999-12-31 23:59:59",
     "TRUE", "No", "1", "0", "-0", "0.0000001", "-0.000", "nan", "inf", "1e5", "٣", "1|2",
     "a|b|a", "|", " ", "\xa0", "e\u0301|é", "A@Example.COM", "a..b@c.de", "x@y", "é@ü.de",
     "a\x1fb", "a\x1eb\n", "\x1c0"]
)  # fmt: skip
PHONES = st.from_regex(r"\A[ ]?(\+1|\+31|0|\+)?[ 0-9()-]{3,14}\Z")
TEXTS = st.one_of(ODD, NUMBERS, MOMENTS, PHONES, st.emails(), st.text(max_size=12))


@settings(max_examples=600)
@given(
    st.lists(TEXTS, max_size=12),
    st.sampled_from(["text", "number", "date", "datetime", "email", "boolean", "numeral", "phone"]),
    st.sampled_from(["single", "multiple", "identifier"]),
    FORMATS,
    st.sampled_from([None, 3, 10]),
)
@example(["2026-03-29 02:30:00"] * 3, "datetime", "single", CellFormat(time_zone="Europe/Amsterdam"), None)
@example(["a\x1fb", "a\x1f\x1e", "abcd"], "text", "single", CellFormat(), 3)
@pytest.mark.spec("I7", "I8", "I9", "M7", "M11", "U9")
def test_a_column_is_read_as_its_cells_are(
    texts: list[str], type_name: str, shape: str, cell_format: CellFormat, longest: int | None
) -> None:
    mapping = PlannedMapping(
        column="c",
        property="p",
        property_id=0,
        type=type_name,
        multiple=shape == "multiple",
        identifier=shape == "identifier",
        longest=longest,
    )
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    cast = cast_column(pa.array(texts, pa.string()), mapping, cell_format)
    expected = [read_mapped(mapping, text, cell_format) for text in texts]
    assert cast.bad == {row: value for row, value in enumerate(expected) if isinstance(value, Reason)}
    assert cast.values.to_pylist() == [None if value is None or isinstance(value, Reason) else stored(value) for value in expected]
    assert cast.blank.tolist() == [value is None for value in expected]
