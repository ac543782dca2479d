"""Every operation of the API is driven by boto3 with good, bad and forbidden input (issue 6): tests/integration/test_api_operations.py goes through CASES."""

from __future__ import annotations

from api.operations import OPERATIONS
from tests.api_operations import CASES, There

PLACE = There(*["x"] * 11)


def test_each_operation_has_a_case() -> None:
    assert CASES.keys() == OPERATIONS.keys()


def test_each_case_has_what_is_refused() -> None:
    assert [name for name, case in CASES.items() if not case.bad(PLACE)] == []
