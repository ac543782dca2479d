"""How one cell is read: the statements about numbers, lists, dates and identifiers, in examples. Columns are read alike (the last tests, test_cast.py)."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import cells as cells_module
from headrace.address import domain_key
from headrace.cells import CellFormat, read_cell, read_identifier, read_list, read_value
from headrace.import_plan import PlannedMapping
from headrace.outcomes import Reason
from profile_store.records import stored
from streaming.merge.cast import LAST_YEAR_OF_RULES, cast_column

POINT, COMMA = CellFormat(), CellFormat(decimal=",")
PIPED = CellFormat(multi_value="|")


def read(type_name: str, text: str, cell_format: CellFormat = POINT) -> object:
    """As the definition reads it, and as a column of two such cells does: they agree."""
    defined = read_cell(type_name, text, cell_format)
    mapping = PlannedMapping(column="c", property="p", property_id=0, type=type_name)
    cast = cast_column(pa.array([text, "", text]), mapping, cell_format)
    for row in (0, 2):
        assert cast.bad.get(row) == (defined if isinstance(defined, Reason) else None)
        assert cast.values[row].as_py() == (stored(defined) if isinstance(defined, str) and not isinstance(defined, Reason) else None)
    return defined


@pytest.mark.spec("I7")
@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", "0"),
        ("007", "7"),
        ("+1", "1"),
        ("-1.50", "-1.5"),
        ("1.", "1"),
        (".5", "0.5"),
        ("-.5", "-0.5"),
        ("-0.000", "0"),
        (" 3\xa0", "3"),
    ],
)
def test_a_number_is_digits_a_sign_and_one_decimal_separator(text: str, number: str) -> None:
    assert read("number", text) == number
    assert read("number", text.replace(".", ","), COMMA) == number
    if "." in text:
        assert read("number", text, COMMA) is Reason.NOT_A_NUMBER
        assert read("number", text.replace(".", ",")) is Reason.NOT_A_NUMBER


@pytest.mark.spec("I7")
@pytest.mark.parametrize(
    "text",
    ["1,000.50", "1.000,50", "1,000", "1 000", "1'000", "1_000", "€5", "5 €", "$5", "5%", "USD 5", "--1", "+-1", "1-", "1.2.3", "(5)"],
)
def test_thousands_separators_and_currency_signs_are_not_numbers(text: str) -> None:
    for cell_format in (POINT, COMMA):
        if (text, cell_format.decimal) != ("1,000", ","):
            assert read("number", text, cell_format) is Reason.NOT_A_NUMBER
    assert read("number", "1,000", COMMA) == "1"


@pytest.mark.spec("M7", "I7")
@pytest.mark.parametrize(
    "text", ["NaN", "nan", "Infinity", "-inf", "1e5", "1E-5", "0x10", "٣", "²", "½", ".", "-", "+", "1\u20092", "one", "1\n2"]
)
def test_nan_infinity_exponents_and_other_scripts_are_not_numbers(text: str) -> None:
    assert read("number", text) is Reason.NOT_A_NUMBER


@pytest.mark.spec("M7")
def test_numbers_have_38_digits_12_of_them_after_the_point() -> None:
    largest = "9" * 26 + "." + "9" * 12
    assert read("number", largest) == largest
    assert read("number", "-" + largest) == "-" + largest
    assert read("number", "0" * 20 + largest + "0" * 20) == largest
    assert read("number", "0." + "0" * 11 + "1") == "0.000000000001"
    assert read("number", "1" + "0" * 26) is Reason.NUMBER_OUT_OF_RANGE
    assert read("number", "0." + "0" * 12 + "1") is Reason.NUMBER_OUT_OF_RANGE
    assert read("number", "9" * 400_000) is Reason.NUMBER_OUT_OF_RANGE


@pytest.mark.spec("I8", "M6")
def test_a_multi_value_separator_separates_values_inside_a_cell() -> None:
    assert read_list("text", "b|a||b| |a", PIPED) == ("b", "a")
    assert read_list("text", "b|a", POINT) == ("b|a",)
    assert read_list("number", "1,5|2|1,50", CellFormat(decimal=",", multi_value="|")) == ("1.5", "2")
    assert read_list("text", " | ", PIPED) is None
    assert read_list("number", "1|x", PIPED) is Reason.NOT_A_NUMBER


@pytest.mark.spec("M11")
def test_several_values_into_a_single_property_are_rejected() -> None:
    assert read("text", "a|b", PIPED) is Reason.SEVERAL_VALUES
    assert read("number", "1|2", PIPED) is Reason.SEVERAL_VALUES
    assert read("text", "a|b", POINT) == "a|b"
    assert read("text", "|a|", PIPED) == "a"
    assert read("number", "| 1", PIPED) == "1"


@pytest.mark.spec("M4")
@pytest.mark.parametrize("text", ["", " ", "\t", "\n", "\xa0", "\u3000", "\ufeff"])
@pytest.mark.parametrize("type_name", ["text", "number", "date", "datetime", "email", "boolean"])
def test_a_cell_of_nothing_but_blanks_is_blank_in_every_type(type_name: str, text: str) -> None:
    assert read(type_name, text) is None
    assert read(type_name, f"{text}|{text}", PIPED) is None


@pytest.mark.spec("M4")
def test_text_is_kept_as_it_is_written() -> None:
    assert read("text", "  Ana\nMaría \x1f ") == "  Ana\nMaría \x1f "


@pytest.mark.spec("M11", "I9")
@pytest.mark.parametrize(
    "text", ["2026-02-30", "2026-13-01", "2026-00-10", "30/01/2026", "2026-01-31 10:00", "26-01-31", "0000-01-01", "yesterday"]
)
def test_a_day_that_is_not_in_the_calendar_or_the_format_is_not_a_date(text: str) -> None:
    assert read("date", text) is Reason.NOT_A_DATE


@pytest.mark.spec("I9")
@pytest.mark.parametrize(
    ("pattern", "text", "date"),
    [
        ("%d/%m/%Y", "31/01/2026", "2026-01-31"),
        ("%Y%m%d", "20260131", "2026-01-31"),
        ("%d %b %y", "31 Jan 26", "2026-01-31"),
        ("%Y-%j", "2024-366", "2024-12-31"),
        ("%G-W%V-%u", "2026-W05-6", "2026-01-31"),
        ("%Y-%m-%d", " 2026-01-31 ", "2026-01-31"),
        ("%Y-%m-%d", "2026-1-5", "2026-01-05"),
    ],
)
def test_a_date_is_read_by_its_format(pattern: str, text: str, date: str) -> None:
    assert read("date", text, CellFormat(date_format=pattern)) == date


@pytest.mark.spec("I9")
def test_a_date_time_is_stored_in_utc() -> None:
    amsterdam = CellFormat(time_zone="Europe/Amsterdam")
    assert read("datetime", "2026-01-31 10:00:00") == "2026-01-31T10:00:00Z"
    assert read("datetime", "2026-01-31 10:00:00", amsterdam) == "2026-01-31T09:00:00Z"
    assert read("datetime", "2026-07-31 10:00:00", amsterdam) == "2026-07-31T08:00:00Z"
    offset = CellFormat(datetime_format="%Y-%m-%dT%H:%M:%S%z", time_zone="Europe/Amsterdam")
    assert read("datetime", "2026-07-31T10:00:00-0300", offset) == "2026-07-31T13:00:00Z"
    fraction = CellFormat(datetime_format="%Y-%m-%d %H:%M:%S.%f")
    assert read("datetime", "2026-07-31 10:00:00.25", fraction) == "2026-07-31T10:00:00.250000Z"


@pytest.mark.spec("I9")
def test_a_local_time_that_occurs_twice_is_the_earlier_one_and_one_that_does_not_exist_is_rejected() -> None:
    amsterdam = CellFormat(time_zone="Europe/Amsterdam")
    assert read("datetime", "2026-10-25 02:30:00", amsterdam) == "2026-10-25T00:30:00Z"
    assert read("datetime", "2026-03-29 02:30:00", amsterdam) is Reason.NONEXISTENT_LOCAL_TIME
    assert read("datetime", "2026-03-29 03:00:00", amsterdam) == "2026-03-29T01:00:00Z"


@pytest.mark.spec("I9")
@pytest.mark.parametrize("year", [LAST_YEAR_OF_RULES, LAST_YEAR_OF_RULES + 1, 2048, 6420])
def test_summer_time_goes_on_beyond_the_years_that_zone_files_list(year: int) -> None:
    amsterdam = CellFormat(time_zone="Europe/Amsterdam")
    assert read("datetime", f"{year}-07-15 12:00:00", amsterdam) == f"{year}-07-15T10:00:00Z"
    assert read("datetime", f"{year}-01-15 12:00:00", amsterdam) == f"{year}-01-15T11:00:00Z"


@pytest.mark.spec("M11")
def test_e_mail_and_boolean() -> None:
    assert read("email", " Ana@Example.COM ") == "ana@example.com"
    for text in ("nobody", "a@b@c.de", "a..b@c.de", "@c.de", "a@foo.invalid", "a@b.local", "a b@c.de", "a@.de"):
        assert read("email", text) is Reason.NOT_AN_EMAIL
    assert [read("boolean", text) for text in ("TRUE", "Yes", "1", "false", "NO", "0")] == ["true"] * 3 + ["false"] * 3
    assert read("boolean", "maybe") is Reason.NOT_A_BOOLEAN


E_ACUTE = ("\u00e9", "e\u0301")


@pytest.mark.spec("M2")
def test_identifiers_match_exactly_after_nfc_and_trimming() -> None:
    composed, decomposed = (read_identifier("text", f" \u3000C{one}\ufeff\n", POINT) for one in E_ACUTE)
    assert composed == decomposed == "C\u00e9"
    assert read_identifier("text", "c1", POINT) != read_identifier("text", "C1", POINT)
    assert read_identifier("text", "C 1", POINT) == "C 1"
    assert read_identifier("text", "Ａ１", POINT) == "Ａ１"  # no compatibility forms: exact
    assert read_identifier("text", " \xa0", POINT) is None


@pytest.mark.spec("M2")
def test_an_identifier_is_trimmed_where_it_stands_among_blank_values_too() -> None:
    assert [read_identifier("text", text, PIPED) for text in ("C1", "C1 |", "| C1", " | C1 | ")] == ["C1"] * 4
    assert read_identifier("text", "C1|C2", PIPED) is Reason.INVALID_IDENTIFIER


@pytest.mark.spec("M2")
def test_an_e_mail_identifier_is_lowercased() -> None:
    assert read_identifier("email", " ANA@Example.Com", POINT) == "ana@example.com"
    assert read_identifier("email", "nobody", POINT) is Reason.INVALID_IDENTIFIER


@settings(max_examples=300)
@given(
    st.one_of(st.text(max_size=8), st.emails(), st.sampled_from(["J\u030c@x.de", "T\u0308@x.de", "\u0130@x.de", "1.50|", " a | "])),
    st.sampled_from(["text", "email", "number", "boolean"]),
    st.sampled_from([POINT, PIPED]),
)
@pytest.mark.spec("M2", "E9")
def test_a_stored_identifier_reads_as_itself(text: str, type_name: str, cell_format: CellFormat) -> None:
    value = read_identifier(type_name, text.encode("utf-8", "ignore").decode(), cell_format)
    if isinstance(value, str) and not isinstance(value, Reason):
        assert read_identifier(type_name, value, POINT) == value


def test_texts_that_are_no_dates_are_not_kept_in_memory() -> None:
    cells_module._kept_moment.cache_clear()
    for n in range(100):
        assert read_value("date", f"{n}" * 100, POINT) is Reason.NOT_A_DATE
    assert cells_module._kept_moment.cache_info().currsize == 0


@pytest.mark.spec("I2")
def test_equal_values_have_other_addresses_in_other_domains() -> None:
    assert domain_key("retail", "secret") != domain_key("wholesale", "secret")
    assert domain_key("retail", "secret") != domain_key("retail", "other")
