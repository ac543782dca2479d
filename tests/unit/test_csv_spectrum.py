"""All of csv-spectrum reads as its own JSON says (tests/data/csv_spectrum)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.splitting import cells, plan_for

SPECTRUM = Path(__file__).parent.parent / "data" / "csv_spectrum"
MISTAKEN = {"location_coordinates": {"Contact Phone Number": "2095257564"}}
"""Cells in which the package's JSON is not what its CSV says."""
NAMES = sorted(path.stem for path in SPECTRUM.glob("*.csv"))


@pytest.mark.spec("I1", "I11")
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
@pytest.mark.parametrize("name", NAMES)
def test_reads_as_it_must(name: str, chunk: int) -> None:
    said = json.loads((SPECTRUM / f"{name}.json").read_bytes())
    expected = [{**row, **MISTAKEN.get(name, {})} for row in (said if isinstance(said, list) else [said])]
    # Linked by a column whose cells can be identifiers: not blank, on one line.
    columns = sorted(expected[0], key=lambda column: not all(row[column] and row[column].isprintable() for row in expected))
    rows = cells((SPECTRUM / f"{name}.csv").read_bytes(), plan_for(tuple(columns)), chunk)
    assert [dict(zip(columns, row, strict=True)) for row in rows] == expected


def test_it_is_all_there() -> None:
    assert len(NAMES) == 12
