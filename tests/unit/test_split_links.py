"""Rows go where the first of their links that is not blank says, and say which one it was."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.address import partition_of
from headrace.import_plan import ImportPlan
from headrace.outcomes import Reason
from streaming.split import batches as batches_module
from streaming.split.batches import row_sizes
from tests.files import csv_bytes
from tests.splitting import plan_for, rejects, split

LINKS = [
    {"column": "id", "property": "customer_id"},
    {"column": "mail", "property": "email", "type": "email"},
    {"column": "phone", "property": "phone", "type": "number"},
    {"column": "who", "property": "profile_identifier"},
]
COLUMNS = ("id", "mail", "phone", "who", "text")
HEX = "0123456789abcdefABCDEF9876543210"
BLANK = ["", " ", "\xa0", "|"]
CELLS = {
    "id": st.sampled_from([*BLANK, "C1", " C1 ", "e\u0301", "é", "a|b", "a\x02b", "\x1f"]),
    "mail": st.sampled_from([*BLANK, "a@example.com", "A@Example.com ", "nobody", "ü@exämple.com"]),
    "phone": st.sampled_from([*BLANK, "1", "1.0", "+1", "one"]),
    "who": st.sampled_from(["", " ", "\xa0", HEX, f" {HEX.lower()}", HEX[1:], f"{HEX[1:]}g"]),
    "text": st.sampled_from(["", "x"]),
}


def plan(*links: int, partitions: int = 3) -> ImportPlan:
    base = plan_for(COLUMNS, partitions, multi_value="|")
    return ImportPlan.model_validate({**base.model_dump(), "links": [LINKS[place] for place in links]})


@settings(max_examples=200)
@given(st.permutations(range(4)), st.integers(1, 4), st.lists(st.fixed_dictionaries(CELLS), max_size=30))
@pytest.mark.spec("M1", "M2", "M11")
def test_every_row_goes_where_the_plan_says(order: list[int], count: int, rows: list[dict[str, str]]) -> None:
    chosen = plan(*order[:count])
    expected = [chosen.link_of_row(row) for row in rows]
    data = csv_bytes(rows, COLUMNS)
    found: dict[int, tuple[int, bytes]] = {}
    batches, totals = split(data, chosen)
    for batch in batches:
        for row in batch.rows.to_pylist():
            assert batch.partition == partition_of(row["address"], chosen.partitions)
            found[row["line"]] = row.get("link", 0), row["address"]
            assert [row[str(place)] for place in range(len(chosen.columns))] == [rows[row["line"] - 2][name] for name in chosen.columns]
    # Quoted cells hold no line ends here, so a row's line is its place.
    assert found == {place: used for place, used in enumerate(expected, 2) if not isinstance(used, Reason)}
    refused = {reject.line: reject.reason for reject, _ in rejects(data, chosen)}
    assert refused == {place: used for place, used in enumerate(expected, 2) if isinstance(used, Reason)}
    assert (totals.rows, totals.rejected) == (len(rows), len(refused))


def test_rows_say_which_link_they_used_only_where_there_are_several() -> None:
    data = csv_bytes([{"id": "", "mail": "a@example.com", "phone": "1", "who": HEX, "text": "x"}], COLUMNS)
    [several], _ = split(data, plan(0, 1))
    assert several.rows.schema.names == ["line", "offset", "address", "link", "0", "1", "2", "3", "4"]
    assert str(several.rows.schema.field("link").type) == "int8"
    assert several.rows.column("link").to_pylist() == [1]
    [one], _ = split(data, plan(1))
    assert one.rows.schema.names == ["line", "offset", "address", "0", "1", "2", "3", "4"]


@pytest.mark.spec("B1")
def test_the_link_that_was_used_counts_in_a_batchs_size() -> None:
    data = csv_bytes([{"id": "C1", "mail": "a@example.com", "phone": "1", "who": "", "text": "x" * 9}], COLUMNS)
    [[one], _], [[several], _] = split(data, plan(0)), split(data, plan(0, 1))
    assert row_sizes(several.rows).tolist() == [size + batches_module.LINK_OVERHEAD for size in row_sizes(one.rows).tolist()]
