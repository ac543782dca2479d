"""The same files give equal profiles under equal identifiers, however the work is divided."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.merge import Profile
from headrace.settings import KafkaSettings, RedisSettings, Settings
from streaming.split import rows as rows_module
from tests.pipeline import Pipeline, access_to
from tests.servers.valkey import flush
from tests.shop import as_csv, customers, purchases, shop

ROWS = 30_000
DIVISIONS = [(4, 1, 1, 1), (4, 4, 3, 3), (32, 1, 3, 3), (32, 4, 1, 3), (32, 4, 3, 1)]
"""Partitions, workers, chunks a file is read in, files. Any two of these meet in each of their combinations."""


def imported(real: Pipeline, name: str, partitions: int, workers: int, pieces: int) -> tuple[dict[bytes, Profile], int]:
    """All profiles, and how many rows were counted. The file comes as `pieces` objects; their order is that of the rows."""
    connection = real.apply(shop(name, partitions), customers(name, source={"bucket": "crm", "directory": f"{pieces}/", "files": "*.csv"}))
    with real.workers(name, workers):
        results = real.run(connection)
    assert [result.state for result in results] == ["COMPLETE"] * pieces
    return real.profiles(name), sum(result.outcomes.rows for result in results)


@pytest.mark.spec("M2", "M12", "I13", "R4")
def test_partitions_workers_and_chunks_change_nothing(
    valkey: ValkeyServer, apache_kafka: str, empty_s3: S3Server, domain_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = purchases(ROWS, 4_001)
    found: list[dict[bytes, Profile]] = []
    for variant, (partitions, workers, chunks, pieces) in enumerate(DIVISIONS):
        flush(valkey)
        kafka = KafkaSettings(bootstrap_servers=apache_kafka, session_timeout_ms=6_000, topic_prefix=f"{domain_name}-{variant}")
        real = Pipeline(Settings(kafka=kafka, redis=RedisSettings(url=SecretStr(valkey.url))), access_to(empty_s3))
        if variant == 0:
            real.make_bucket("crm")
            real.put("crm", "1/a.csv", as_csv(table))
            for piece in range(3):
                real.put("crm", f"3/{piece}.csv", as_csv(table[piece * ROWS // 3 : (piece + 1) * ROWS // 3]))
        size = len(as_csv(table)) // pieces
        monkeypatch.setattr(rows_module, "CHUNK_BYTES", size // chunks + 100)
        profiles, rows = imported(real, domain_name, partitions, workers, pieces)
        assert rows == ROWS
        found.append(profiles)
    assert len(found[0]) == 4_001
    for other in found[1:]:
        assert other == found[0]
