"""The record: values come back as they were, one by one and in columns alike; what is newer than us is refused."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import UnsupportedFormatError
from profile_store.records import LEADING, Record, decode_record, decode_records, encode_records, stored, stored_column

WIDTH = 4
LISTS = frozenset({1, 3})
NASTY = "\x1c\x1e\x1f\n\r01234;\"',\t\0é€𝄞"
TEXTS = st.text(st.one_of(st.sampled_from(NASTY), st.characters(codec="utf-8")), min_size=1, max_size=12)
SINGLES = st.none() | TEXTS
SEVERAL = st.none() | st.lists(TEXTS, min_size=1, max_size=4, unique=True).map(tuple)
PROFILES = st.lists(st.none() | st.tuples(SINGLES, SEVERAL, SINGLES, SEVERAL), max_size=12)


def columns_of(profiles: list[tuple[str | tuple[str, ...] | None, ...]]) -> dict[str, pa.StringArray]:
    """Profiles in stored form, numbered from 0."""
    columns: dict[str, pa.StringArray] = {name: pa.nulls(len(profiles), pa.string()) for name in LEADING}
    columns["number"] = pa.array(map(str, range(len(profiles))), pa.string())
    for place in range(WIDTH):
        columns[str(place)] = pa.array([None if (value := one[place]) is None else stored(value) for one in profiles], pa.string())
    return columns


@given(PROFILES)
def test_what_goes_in_comes_out(profiles: list[tuple[str | tuple[str, ...] | None, ...] | None]) -> None:
    there = [one for one in profiles if one is not None]
    blobs = encode_records(columns_of(there), WIDTH)
    for number, (blob, one) in enumerate(zip(blobs, there, strict=True)):
        values = {place: value for place, value in enumerate(one) if value is not None}
        assert decode_record(blob, LISTS) == Record(number, (), None, values)
    waiting = iter(blobs)
    columns = decode_records([None if one is None else next(waiting) for one in profiles], WIDTH)
    for place in range(WIDTH):
        expected = [None if one is None or (value := one[place]) is None else stored(value) for one in profiles]
        assert columns[str(place)].to_pylist() == expected
    numbers = iter(range(len(there)))
    assert columns["number"].to_pylist() == [None if one is None else str(next(numbers)) for one in profiles]


@given(st.lists(SINGLES, max_size=20))
def test_a_column_is_stored_as_its_values_are(values: list[str | None]) -> None:
    assert stored_column(pa.array(values, pa.string())).to_pylist() == [None if one is None else stored(one) for one in values]


@given(st.lists(SINGLES, min_size=3, max_size=20))
def test_a_part_of_a_column_is_stored_as_its_values_are(values: list[str | None]) -> None:
    part = pa.array(values, pa.string()).slice(1, len(values) - 2)
    assert stored_column(part).to_pylist() == [None if one is None else stored(one) for one in values[1:-1]]


def test_records_of_a_narrower_schema_have_no_value_for_the_rest() -> None:
    columns = decode_records([b"R1\x1f0\x1f\x1f\x1f\x1fa", b"R1\x1f1", None, b"R1\x1f2\x1f\x1f\x1f\x1fa\x1f\x1fc"], WIDTH)
    assert [columns[str(place)].to_pylist() for place in range(WIDTH)] == [
        ["a", None, None, "a"],
        [None] * 4,
        [None, None, None, "c"],
        [None] * 4,
    ]
    assert decode_record(b"R1\x1f1", LISTS) == Record(1, (), None, {})


def test_a_profile_without_values_is_a_profile() -> None:
    [blob] = encode_records(columns_of([(None, None, None, None)]), WIDTH)
    assert blob == b"R1\x1f0"
    assert decode_records([blob], WIDTH)["number"].to_pylist() == ["0"]


@pytest.mark.parametrize("blob", [b"R2\x1f0", b"P1" + b"\0" * 16, b"S1", b"R10\x1f0", b"R", b"", b"r1\x1f0"])
def test_what_is_no_record_of_format_1_is_refused(blob: bytes) -> None:
    with pytest.raises(UnsupportedFormatError):
        decode_record(blob, LISTS)
    with pytest.raises(UnsupportedFormatError):
        decode_records([b"R1\x1f0", blob, b"R1\x1f1"], WIDTH)
    with pytest.raises(UnsupportedFormatError):
        decode_records([b"R1\x1f0", blob], WIDTH)


def test_a_record_wider_than_the_schema_is_refused() -> None:
    with pytest.raises(UnsupportedFormatError, match="newer schema"):
        decode_records([b"R1\x1f0\x1f\x1f\x1f\x1fa\x1fb\x1fc\x1fd\x1fe"], WIDTH)
