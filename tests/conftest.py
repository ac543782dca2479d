"""What every test may use: the servers of tests/servers/, and the report of which of them really ran."""

from __future__ import annotations

pytest_plugins = [
    "tests.servers.report",
    "tests.servers.valkey",
    "tests.servers.brokers",
    "tests.servers.others",
]
