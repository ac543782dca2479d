"""A change of segments, and the build of what it defines, killed before and after every step: the next run makes them what they should be (SPEC S5, B7)."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.connections import Connection
from profile_store import keys, sequence
from profile_store.segment_registry import segments_of
from streaming.segments.materialize import materialize
from tests.faults.flow import SEGMENTS, FlowOptions
from tests.faults.nursery import Nursery
from tests.faults.rounds import COLUMNS, KILLED, OF_SEGMENTS, PARTITIONS, points
from tests.faults.shop_files import shop_domain
from tests.faults.shop_segments import CHANGED, FROM_THE_START
from tests.files import csv_bytes
from tests.membership import check_members
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually


@pytest.mark.slow
@pytest.mark.spec("S5", "B7")
def test_a_kill_before_and_after_every_step_leaves_every_segment_whole(
    valkey: ValkeyServer, tansu_server: BrokerServer, empty_s3: S3Server, domain_name: str, tmp_path: Path
) -> None:
    real = pipeline(valkey.url, tansu_server.bootstrap_servers, access_to(empty_s3))
    real.make_bucket("crm")
    connection = applied(real, domain_name)
    with Nursery(tmp_path / "nursery.log") as nursery, real.workers(domain_name):
        imported(real, connection, 0)
        for number, point in enumerate(points(OF_SEGMENTS), 1):
            real.define_segments(domain_name, *FROM_THE_START)
            materialize(real.store, domain_name)
            options = FlowOptions(str(tmp_path), 100, 1, None, publish_twice=False, failpoint=point)
            arguments = [f"{SEGMENTS}{domain_name}", json.dumps(asdict(options))]
            process = nursery.start("tests.faults.flow", arguments, real.environment(), tmp_path / "changes.log")
            assert eventually(process.poll, within=60, what=f"the change ends at {point}") == KILLED, point
            check_members(real.store, domain_name, real.profiles(domain_name))

            if number % 5 == 0:
                imported(real, connection, number)
                check_members(real.store, domain_name, real.profiles(domain_name))
            real.define_segments(domain_name, *CHANGED)
            materialize(real.store, domain_name)
            assert all(one.is_current for one in segments_of(real.store, domain_name)), point
            assert sum(check_members(real.store, domain_name, real.profiles(domain_name)).values()), point
            nothing_is_left(real, domain_name)


def applied(real: Pipeline, domain: str) -> Connection:
    goal = {
        "domain": domain,
        "source": {"bucket": "crm", "directory": "in/", "files": "*"},
        "link": [{"column": "id", "property": "customer_id"}],
        "allow_creation": True,
        "mappings": [
            {"column": "mail", "property": "last"},
            {"column": "amount", "property": "total", "rule": "sum"},
            {"column": "id", "property": "consents"},
        ],
    }
    return real.apply(shop_domain(domain, PARTITIONS), goal)


def imported(real: Pipeline, connection: Connection, number: int) -> None:
    """Members come and go."""
    rows = [
        {"id": f"C{number % 3}{one}", "mail": f"2026-0{1 + one % 6}-01", "amount": f"{one * 7 % 50 - 20}"} for one in range(number % 5, 40)
    ]
    real.put("crm", "in/a.csv", csv_bytes(rows, COLUMNS))
    assert [one.state for one in real.run(connection)] == ["COMPLETE"]


def nothing_is_left(real: Pipeline, domain: str) -> None:
    """Of generations that were built, or that nobody reads any more."""
    live = {f"{one.id}.{one.live}".encode() for one in segments_of(real.store, domain)}
    for partition in range(PARTITIONS):
        node = real.store.node_of(keys.meta(domain, partition))
        assert set(node.hkeys(keys.segment_generations(domain, partition))) == live
        assert len(list(node.scan_iter(match=f"{keys.partition_tag(domain, partition)}segment-*"))) <= len(live) + 1
        assert not list(node.scan_iter(match=f"{keys.partition_tag(domain, partition)}segment-touched*"))
    assert sequence.domain_floor(real.store, domain) == sequence.last_number(real.store, domain)
