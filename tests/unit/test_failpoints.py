"""Failpoints: each stands in one step of the product, does nothing by itself, and ends a process that is told to."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter

import pytest

from headrace.failpoints import FAILPOINTS, VARIABLE, arm
from tests.fundamentals.sources import PRODUCT, PROJECT, sources

REACHES = re.compile(r"""\bstep\("(\w+)"\)""")
PROGRAM = """
from headrace.failpoints import step
for number in range(3):
    with step("commit"):
        print(number, flush=True)
"""


def test_every_failpoint_stands_in_one_place_and_is_listed() -> None:
    found = Counter(name for one in sources(*PRODUCT) for name in REACHES.findall(one.text))
    assert found == Counter(dict.fromkeys(FAILPOINTS, 1))


@pytest.mark.parametrize(
    ("said", "lines"),
    [("", 3), ("commit:before", 0), ("commit:after", 1), ("commit:before:3", 2), ("commit:after:3", 3), ("end:before", 3)],
)
def test_a_process_ends_where_it_is_told_to(said: str, lines: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=PROJECT, env=os.environ | {VARIABLE: said}, capture_output=True, check=False, timeout=60
    )
    reached = said.startswith("commit")
    assert done.returncode == (-signal.SIGKILL if reached else 0), done.stderr
    assert len(done.stdout.split()) == lines


@pytest.mark.parametrize("said", ["comit:before", "commit", "commit:behind"])
def test_what_is_no_failpoint_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match="names no failpoint"):
        arm(said)
