"""The merge in columns gives what the oracle gives: profiles, outcomes, rejects, through splitter, message and record, batch by batch."""

from __future__ import annotations

from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.import_plan import ImportPlan
from headrace.merge import Profile, import_rows
from headrace.outcomes import Reject
from streaming.merge import columns as columns_module
from streaming.split import batches as batches_module
from tests.examples import examples
from tests.files import csv_bytes, line_numbers, plans, tables
from tests.memory_domain import MemoryDomain


def key(reject: Reject) -> tuple[int, str, str]:
    return reject.line, reject.column or "", reject.reason.value


@settings(max_examples=examples(120))
@given(st.lists(st.tuples(plans(), tables()), min_size=1, max_size=2), st.sampled_from([3, 17, 5000]), st.sampled_from([1, 3, 24]))
@pytest.mark.spec("M2", "M3", "M4", "M5", "M6", "M7", "M11", "M12", "P1", "R4")
def test_columns_give_what_the_oracle_gives(
    files: list[tuple[ImportPlan, list[dict[str, str]]]], batch_rows: int, small_round: int
) -> None:
    memory, oracle = MemoryDomain(4), dict[bytes, Profile]()
    with mock.patch.object(batches_module, "BATCH_ROWS", batch_rows), mock.patch.object(columns_module, "SMALL_ROUND", small_round):
        for plan, rows in files:
            outcomes, rejects = memory.import_file(csv_bytes(rows), plan)
            expected = import_rows(oracle, rows, plan)
            assert outcomes == expected.outcomes
            lines = line_numbers(rows)
            assert sorted(map(key, rejects)) == sorted((lines[row], column or "", reason.value) for row, column, reason in expected.rejects)
    assert memory.profiles() == oracle
