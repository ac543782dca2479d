"""Every commit step, killed before and after it: the end is the oracle's. The failpoints are enumerated, so that a new one is killed at too."""

from __future__ import annotations

import re
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.failpoints import FAILPOINTS
from tests.faults.nursery import Nursery
from tests.faults.rounds import BUCKET, OF_FLOWS, OF_OTHERS, OF_WORKERS, TIMES, Lane, points
from tests.pipeline import ROOT, access_to, pipeline

LANES = 2
"""For workers, and as many for flows."""


def play(lane: Lane, failpoints: list[str]) -> dict[str, str]:
    """Failpoint → what went wrong there. A lane that went wrong is not what the oracle thinks, so it ends."""
    for failpoint in failpoints:
        try:
            lane.play(failpoint)
        except Exception:  # noqa: BLE001 - told by the test
            return {failpoint: traceback.format_exc()}
    return {}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.spec("B1", "R4")
def test_a_kill_before_and_after_every_step_changes_nothing(
    valkey: ValkeyServer, apache_kafka: str, empty_s3: S3Server, domain_name: str, tmp_path: Path
) -> None:
    real = pipeline(valkey.url, apache_kafka, access_to(empty_s3))
    real.settings.kafka.session_timeout_ms = 1_500
    real.make_bucket(BUCKET)
    shares = [points(steps)[place::LANES] for steps in (OF_WORKERS, OF_FLOWS) for place in range(LANES)]
    with Nursery(tmp_path / "nursery.log") as nursery, ThreadPoolExecutor(len(shares)) as pool:
        lanes = [Lane(real, nursery, tmp_path, f"{domain_name}l{place}") for place in range(len(shares))]
        failed = [wrong for wrongs in pool.map(play, lanes, shares) for wrong in wrongs.items()]
    assert not failed, "\n\n".join(f"{failpoint}\n{told}" for failpoint, told in failed)
    assert sum(lane.rounds for lane in lanes) == sum(map(len, shares))


def test_every_failpoint_is_killed_at_on_both_sides() -> None:
    assert {tuple(one.split(":")[:2]) for one in points((*OF_WORKERS, *OF_FLOWS, *OF_OTHERS))} == {
        (name, side) for name in FAILPOINTS for side in ("before", "after")
    }
    assert set(OF_WORKERS) | set(TIMES) <= FAILPOINTS.keys()


def test_every_failpoint_is_a_step_of_the_product() -> None:
    """A merge that drops one is seen without a process."""
    sources = [one.read_text() for folder in ("profile_store", "streaming") for one in (ROOT / folder).rglob("*.py")]
    steps = {name for source in sources for name in re.findall(r'step\("(\w+)"\)', source)}
    assert steps == FAILPOINTS.keys()
