"""`make demo`, once, for real: what a stranger sees is true, and nothing is left of it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.command_line import ROOT, clean_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SECTIONS = [
    "Running on this machine, for as long as the demo lasts",
    "Say what there is: a domain of profiles, and a connection to S3",
    "A file arrives: 69,659 purchases of CDs, 1997 to 1998",
    "Is it right? All profiles, against the file added up without Headrace",
    "Three of them",
    "A segment: who spent 500 dollars or more, and bought in 1998. And its export",
    "Run it again: nothing is imported twice (this time without Prefect)",
    "A second file, with mistakes in it",
    "That file brought a member: customer 00020 had spent enough, and now bought in 1998",
]


def own_directories() -> set[Path]:
    return set((ROOT / ".headrace" / "demo").glob("run-*"))


@pytest.mark.spec("I4", "I10", "I13", "M2", "M4", "M5", "M6", "M7", "M11", "R1", "R4", "B2", "B7")
def test_the_demo_shows_what_it_promises(tmp_path: Path) -> None:
    before = own_directories()
    done = subprocess.run(
        [sys.executable, "-m", "deployments.demo"],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    out = done.stdout
    places = [out.find(section) for section in SECTIONS]
    assert -1 not in places
    assert places == sorted(places)
    for line in (
        "1 file imported, 69,659 rows, 0 of them rejected.",
        "23,570 created, 46,089 updated, 0 unchanged, 0 skipped, 0 rejected",
        "rows/s",
        "Equal, and so is every single profile",
        "Nothing to do: 1 file found, none new or changed.",
        "neither file nor configuration changed since",
        "1 created, 6 updated, 0 unchanged, 0 skipped, 3 rejected",
        "UNCLOSED_QUOTE",
        "_headrace/rejects/purchases/3-purchases-1998-07.csv",
        "Every readable row and cell is in the profiles, and nothing else.",
        "As many as the file itself says.",
        "exported 641 of 641 available profiles",
        "   1  customer;amount;last purchase",
        "Everything is stopped and removed.",
    ):
        assert line in out, line
    totals = [line.split()[-3:] for line in out.splitlines() if line.startswith(("in the profiles", "in the file", "before", "after"))]
    assert totals == [["23,570", "167,881", "2,500,315.63"]] * 3 + [["23,571", "167,890", "2,500,421.32"]]
    assert len(re.findall(r"^   [234]  \d{5};\d{3,}(?:,\d+)?;\d\d/\d\d/1998\s*$", out, re.MULTILINE)) == 3, "members, in whatever order"
    assert [line for line in out.splitlines() if line in ("641", "642")] == ["641", "642"]
    assert "Traceback" not in out + done.stderr
    assert own_directories() == before
