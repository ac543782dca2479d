"""An export that is killed before or after any of its steps: a reader finds the old file or the new one, whole; the next run counts what was exported."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.failpoints import VARIABLE
from profile_store import keys, registry
from profile_store.exchange import read_exchange
from streaming.exporting.close_export import settle_exports
from tests.faults.nursery import Nursery
from tests.faults.rounds import KILLED, OF_EXPORTS, points
from tests.integration.exported import applied, export, imported, nothing_is_left, rows_at, rows_of
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually
from tests.segmented import make_segment

VISIBLE = ("finish_export:after", "count_exported", "forget_export")
"""Once it is killed here its file can be read."""


@pytest.mark.slow
@pytest.mark.spec("E4", "R3")
def test_a_kill_before_and_after_every_step_leaves_nothing_half_written(
    valkey: ValkeyServer, tansu_server: BrokerServer, empty_s3: S3Server, domain_name: str, tmp_path: Path
) -> None:
    real = pipeline(valkey.url, tansu_server.bootstrap_servers, access_to(empty_s3))
    real.make_bucket("crm")
    connection = applied(real, domain_name)
    imported(real, connection, domain_name, 100)
    make_segment(real.store, domain_name, "everyone", lambda identifier: identifier[0] < 128)
    old = rows_of(real, export(real, connection, domain_name))
    with Nursery(tmp_path / "nursery.log") as nursery:
        for point in points(OF_EXPORTS):
            forget_what_was_exported(real, domain_name)
            process = nursery.start("tests.run_export", ["crm"], real.environment() | {VARIABLE: point}, tmp_path / "runs.log")
            code = eventually(process.poll, within=60, what=f"the export ends at {point}")
            assert code == KILLED, point

            expected = len(old) if point.startswith(VISIBLE) else 0
            assert rows_at(real, "out/all.csv") == old, point
            assert exported(real) in (0, expected), point

            settle_exports(real.context, domain_name, "crm")
            assert exported(real) == expected, point
            nothing_is_left(real, domain_name)
    assert rows_of(real, export(real, connection, domain_name)) == old
    assert exported(real) == len(old)
    nothing_is_left(real, domain_name)


def exported(real: Pipeline) -> int:
    return sum(one.exported for one in read_exchange(real.store, ["crm"]))


def forget_what_was_exported(real: Pipeline, domain: str) -> None:
    for partition in range(registry.get_domain(real.store, domain).partitions):
        real.store.client.delete(keys.exported(domain, partition, "crm"))
