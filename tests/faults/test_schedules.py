"""Ten fault schedules, others with each commit; `make faults` plays more. What they compare is said in check.py, and that they catch what is wrong is
checked by `make faults-check`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.faults.broken_check import refusal_of, variants
from tests.faults.lanes import Played, play_all
from tests.faults.schedule import FEWEST_FAULTS, Kind, draw
from tests.pipeline import ROOT
from tests.servers.brokers import MUST_RUN
from tests.servers.kafka import KafkaJars, find_kafka
from tests.servers.report import ServerReport

SCHEDULES, LANES = 10, 2


def seed_of_the_commit() -> int:
    """Fresh with every commit, and known from it; 1 where there is no git."""
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return int(found.stdout[:8], 16) if found.returncode == 0 else 1


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@pytest.mark.spec("B1", "R4")
def test_nothing_that_goes_wrong_changes_what_an_import_does(tmp_path: Path, server_report: ServerReport) -> None:
    kafka = find_kafka()
    if isinstance(kafka, KafkaJars):
        server_report.note_ran("Apache Kafka", f"Apache Kafka {kafka.version} (KRaft, Maven)")
    elif os.environ.get(MUST_RUN):
        pytest.fail(f"schedules must run on real Kafka here, from jars, and it can't: {kafka}")
    seed = seed_of_the_commit()
    print(f"schedules {seed} to {seed + SCHEDULES - 1}")
    played: list[Played] = []
    play_all(tmp_path, map(draw, range(seed, seed + SCHEDULES)), LANES, played.append)
    failed = [one for one in played if one.failure]
    assert not failed, "\n\n".join(one.report() for one in failed)
    assert len(played) == SCHEDULES


def test_a_seed_draws_one_schedule() -> None:
    assert [draw(seed) for seed in range(50)] == [draw(seed) for seed in range(50)]
    assert len({draw(seed).faults for seed in range(50)}) == 50


def test_fifty_schedules_meet_every_kind_of_fault() -> None:
    """So that none is left out of a run of usual length, wherever it begins."""
    for first in (0, 1_000, 77_777):
        drawn = [draw(seed) for seed in range(first, first + 50)]
        assert {fault.kind for schedule in drawn for fault in schedule.faults} == set(Kind)
        assert all(len(schedule.faults) >= FEWEST_FAULTS for schedule in drawn)
        for schedule in drawn:
            assert (schedule.republication == "free") == any(fault.kind is Kind.WIPE for fault in schedule.faults), (
                "nothing else may need it"
            )


def test_every_broken_variant_fits_and_says_what_it_breaks_and_who_catches_it() -> None:
    found = variants()
    assert found
    assert [refusal for variant in found if (refusal := refusal_of(variant))] == []
    for variant in found:
        assert variant.breaks
        assert variant.seed is not None or (variant.tests and variant.why), variant.name
        for test in variant.tests:
            assert (ROOT / test.partition("::")[0]).exists(), test
