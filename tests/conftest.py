"""What every test may use: the servers of tests/servers/, and the report of which of them really ran."""

from __future__ import annotations

import uuid

import hypothesis
import pytest

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("headrace", deadline=None)
hypothesis.settings.load_profile("headrace")

pytest_plugins = [
    "tests.servers.report",
    "tests.servers.valkey",
    "tests.servers.brokers",
    "tests.servers.others",
]


@pytest.fixture
def domain_name() -> str:
    """Of no other test."""
    return f"d{uuid.uuid4().hex[:12]}"
