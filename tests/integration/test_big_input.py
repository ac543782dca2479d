"""A line of a gigabyte, and files that unpack to one: told by line and code, every other row read, in a process whose memory is measured."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.bad_inputs import BIG
from tests.big_input import KINDS
from tests.pipeline import ROOT

PEAK_MB, GROWN_MB = 400, 150
LONG_LINES = {"line": [[3, "ROW_TOO_LONG"]], "quoted": [[3, "ROW_TOO_LONG"]], "bomb": [], "bomb_of_one_line": [[3, "ROW_TOO_LONG"]]}


@pytest.mark.slow
@pytest.mark.spec("I11", "I12")
@pytest.mark.parametrize("kind", BIG)
def test_a_gigabyte_takes_bounded_memory(kind: str) -> None:
    done = subprocess.run([sys.executable, "-m", "tests.big_input", kind], cwd=ROOT, capture_output=True, check=True, timeout=300)
    found = json.loads(done.stdout)
    assert found["codes"] == LONG_LINES[kind]
    assert found["rejected"] == len(LONG_LINES[kind])
    assert found["rows"] == (1_070_002 if kind == "bomb" else 3)
    assert found["peak_mb"] < PEAK_MB
    assert found["grown_mb"] < GROWN_MB


def test_every_kind_is_in_the_list() -> None:
    assert set(KINDS) == set(BIG)
