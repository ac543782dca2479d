"""Splitting bytes in memory, for tests: what a file gives, however its stream was chunked."""

from __future__ import annotations

import io
from typing import Any

from headrace.import_plan import ImportPlan
from headrace.outcomes import Reject
from streaming.split.batches import RowBatch
from streaming.split.splitter import Splitter, SplitTotals


def plan_for(columns: tuple[str, ...] = ("id", "text"), partitions: int = 1, **file_format: Any) -> ImportPlan:
    """A plan that links the first column and maps all of them; every row creates."""
    return ImportPlan.model_validate(
        {
            "domain": "test",
            "partitions": partitions,
            "address_key": "07" * 32,
            "schema_version": 1,
            "width": len(columns),
            "file_format": file_format,
            "links": [{"column": columns[0], "property": "customer_id"}],
            "mappings": [
                {"column": column, "property": column, "property_id": place, "identifier": place == 0, "rule": "set_if_empty"}
                for place, column in enumerate(columns)
            ],
            "allow_creation": True,
        }
    )


def splitter(data: bytes, plan: ImportPlan, chunk: int = 1 << 20) -> Splitter:
    """Over a stream that gives at most `chunk` bytes at a time."""
    source = io.BytesIO(data)
    return Splitter(lambda size: source.read(min(size, chunk)), plan, "in/a.csv")


def split(data: bytes, plan: ImportPlan, chunk: int = 1 << 20) -> tuple[list[RowBatch], SplitTotals]:
    made = splitter(data, plan, chunk)
    return list(made.batches()), made.totals


def content(batches: list[RowBatch]) -> list[tuple[int, int, list[dict[str, Any]]]]:
    """Everything that must be the same in every split of a file."""
    return sorted((batch.partition, batch.batch_no, batch.rows.to_pylist()) for batch in batches)


def cells(data: bytes, plan: ImportPlan, chunk: int = 1 << 20) -> list[list[str]]:
    """The mapped cells of the rows that are not rejected, in file order."""
    rows = [row for batch in split(data, plan, chunk)[0] for row in batch.rows.to_pylist()]
    return [[row[str(place)] for place in range(len(plan.columns))] for row in sorted(rows, key=lambda one: int(one["offset"]))]


def rejects(data: bytes, plan: ImportPlan, chunk: int = 1 << 20) -> list[tuple[Reject, bytes]]:
    """What the splitter itself rejects, with each row's bytes."""
    return list(splitter(data, plan, chunk).rejected(iter(())))
