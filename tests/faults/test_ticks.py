"""Ticks of one connection that start at once, as processes, with what the schedules check of them (SPEC R2, C4)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from tests.faults.check_ticks import check_ticks
from tests.faults.flow import TURN_SECONDS, FlowOptions
from tests.faults.nursery import Nursery, Process
from tests.faults.shop_files import shop_domain
from tests.faults.ticks import OFF, ON, TICK, Said, holder, is_done, said_by, say
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually

NAME = "crm"


@dataclass(frozen=True)
class Ticker:
    """Starts processes of the connection's ticks."""

    real: Pipeline
    nursery: Nursery
    directory: Path

    def start(self, kind: str = TICK) -> Process:
        options = FlowOptions(str(self.directory), 100, 1, None, publish_twice=False)
        arguments = [f"{kind}{NAME}", json.dumps(asdict(options))]
        return self.nursery.start("tests.faults.flow", arguments, self.real.environment(), self.directory / "ticks.log")

    def said(self, what: str, count: int = 1) -> list[int]:
        """The processes that have said so, when there are as many."""
        return eventually(lambda: self._processes(what, count), within=30, what=f"{count} ticks say {what}")

    def _processes(self, what: str, count: int) -> list[int] | None:
        found = [one.process for one in said_by(self.directory, NAME) if one.what == what]
        return found if len(found) == count else None


@pytest.mark.slow
@pytest.mark.spec("R2", "C4")
def test_one_goes_on_one_waits_and_follows_the_rest_are_spared_and_off_is_off(
    valkey: ValkeyServer, tansu_server: BrokerServer, empty_s3: S3Server, domain_name: str, tmp_path: Path
) -> None:
    """No import ends without a worker: so each is where it is for as long as the test wants."""
    real = pipeline(valkey.url, tansu_server.bootstrap_servers, access_to(empty_s3))
    real.make_bucket("crm")
    goal = {
        "domain": domain_name,
        "source": {"bucket": "crm", "directory": "in/", "files": "*"},
        "link": [{"column": "id", "property": "customer_id"}],
        "allow_creation": True,
        "mappings": [{"column": "amount", "property": "total", "rule": "sum"}],
    }
    real.apply(shop_domain(domain_name, 2), goal, NAME)
    real.put("crm", "in/a.csv", b"id,amount\nC1,5\nC2,7\n")
    with Nursery(tmp_path / "nursery.log") as nursery:
        ticker = Ticker(real, nursery, tmp_path)
        ticks = {one.pid: one for one in (ticker.start(), ticker.start(), ticker.start())}
        [goes], [waits], [spared] = ticker.said("goes"), ticker.said("waits"), ticker.said("spared")
        assert {goes, waits, spared} == ticks.keys()
        ended(ticks[spared])
        assert holder(tmp_path, NAME) == goes
        ticker.said("works")

        ticks[goes].kill()
        say(tmp_path, NAME, "gone", goes)
        with real.workers(domain_name):
            ended(ticks[waits])
        assert ticker.said("goes", 2) == [goes, waits]
        assert is_done(tmp_path, NAME)
        assert {one["customer_id"]: one["total"] for one in real.profiles(domain_name).values()} == {"C1": "5", "C2": "7"}
        assert not turns(real)

        real.put("crm", "in/b.csv", b"id,amount\nC1,1\n")
        ticks = {one.pid: one for one in (ticker.start(), ticker.start())}
        waits = ticker.said("waits", 2)[1]
        ticker.said("works", 3)
        ended(ticker.start(OFF))
        ended(ticker.start())
        with real.workers(domain_name):
            for one in ticks.values():
                ended(one)
        assert ticker.said("idle", 2)[1] == waits
        assert not is_done(tmp_path, NAME)
        ended(ticker.start(ON))
        ended(ticker.start())
        assert is_done(tmp_path, NAME)
    assert {one["customer_id"]: one["total"] for one in real.profiles(domain_name).values()} == {"C1": "6", "C2": "7"}
    assert not turns(real)
    check_ticks(tmp_path, [], TURN_SECONDS)


def turns(real: Pipeline) -> list[bytes]:
    return [one for one in real.store.client.scan_iter(match="headrace:*") if one.startswith((b"headrace:turn", b"headrace:waiting"))]


def ended(process: Process) -> None:
    code = eventually(lambda: (process.poll(),) if not process.running else None, within=60, what="the process ends")[0]
    assert code == 0, process.log.read_text()[-2_000:]


def test_two_that_go_on_at_once_are_seen(tmp_path: Path) -> None:
    runs(tmp_path, "1 asks", "1 goes", "2 asks", "2 goes", "1 leaves", "2 leaves")
    with pytest.raises(AssertionError, match="two runs of crm went on at once"):
        check_ticks(tmp_path, [], TURN_SECONDS)
    [second] = [one.at for one in said_by(tmp_path, NAME) if (one.process, one.what) == (2, "goes")]
    check_ticks(tmp_path, [second], TURN_SECONDS)  # Redis may have lost the turn


def test_one_that_is_spared_though_nobody_waits_is_seen(tmp_path: Path) -> None:
    runs(tmp_path, "1 asks", "1 goes", "2 asks", "2 spared", "1 leaves")
    with pytest.raises(AssertionError, match="no other one waited"):
        check_ticks(tmp_path, [], TURN_SECONDS)


def test_one_that_works_though_the_connection_is_off_is_seen(tmp_path: Path) -> None:
    runs(tmp_path, "9 off", "1 asks", "1 goes", "1 works", "1 leaves")
    with pytest.raises(AssertionError, match="though it was switched off"):
        check_ticks(tmp_path, [], TURN_SECONDS)


def runs(directory: Path, *lines: str) -> None:
    """What processes say, each at its time."""
    for at, line in enumerate(lines, 1):
        process, what = line.split()
        more = {"looked": float(at)} if what in ("works", "idle") else {"begun": at - 0.5} if what in ("on", "off") else {}
        with (directory / f"ticks-{NAME}.jsonl").open("a") as file:
            file.write(json.dumps(asdict(Said(float(at), int(process), what, more))) + "\n")
